"""`/credentials`: how the credentials of every provider stand.

The rule here: names, states and codes; a credential itself is not within reach.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.core.credential import CredentialStanding

ListCredentials = Callable[[], Iterable[CredentialStanding]]

LIST_CREDENTIALS: web.AppKey[ListCredentials] = web.AppKey("list_credentials")

COLUMNS = ("provider", "credential_id", "state", "until", "in_flight", "last_error", "last_status")


async def show_credentials(request: web.Request) -> web.Response:
    """Every credential as JSON, or as a table for people with `?format=table`."""
    rows = [_describe(standing) for standing in request.app[LIST_CREDENTIALS]()]
    if request.query.get("format") == "table":
        return web.Response(text=_render_table(rows))
    return web.json_response({"credentials": rows})


def name_credentials(standings: Iterable[CredentialStanding]) -> dict[str, list[str]]:
    """The names of the credentials of each provider."""
    names: dict[str, list[str]] = {}
    for standing in standings:
        names.setdefault(standing.provider, []).append(standing.id)
    return names


def _describe(standing: CredentialStanding) -> dict[str, Any]:
    return {
        "provider": standing.provider,
        "credential_id": standing.id,
        "state": standing.state,
        "since": _say_time(standing.since),
        "until": _say_time(standing.until),
        "in_flight": standing.in_flight,
        "last_error": standing.last_error or None,
        "last_status": standing.last_status or None,
        "last_error_at": _say_time(standing.last_error_at),
        **({"workers": standing.workers} if standing.workers else {}),
    }


def _say_time(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _render_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [COLUMNS, *(tuple(_cell(row[name]) for name in COLUMNS) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(COLUMNS))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
