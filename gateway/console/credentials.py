"""`/credentials`: how the credentials of every provider stand, and taking them for well again.

The rule here: names, states and codes; a credential itself is not within reach.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import structlog
from aiohttp import web

from gateway.console.bodies import OPTIONAL_TEXT, read_fields
from gateway.console.guard import ADMIN, CLIENT
from gateway.core.credential import CredentialStanding
from gateway.core.durations import render_time
from gateway.core.errors import NotFoundError

ListCredentials = Callable[[], Iterable[CredentialStanding]]

RestoreCredential = Callable[[str, str | None], Sequence[str] | None]
"""Takes those of a provider for well; the names of those that were not, None for no such one."""


def restore_none(provider: str, credential_id: str | None) -> None:
    """Say that there is no such credential, where there are none at all."""
    del provider, credential_id


class CredentialDesk(NamedTuple):
    """What is asked about every provider's credentials, and what may be told of them."""

    standings: ListCredentials = tuple
    restore: RestoreCredential = restore_none


CREDENTIALS: web.AppKey[CredentialDesk] = web.AppKey("credentials", CredentialDesk)
"""Set by `admin`."""

COLUMNS = ("provider", "credential_id", "state", "until", "in_flight", "last_error", "last_status")


_RESTORED = {"credential_id": OPTIONAL_TEXT}

_log = structlog.get_logger()


async def show_credentials(request: web.Request) -> web.Response:
    """Every credential as JSON, or as a table for people with `?format=table`."""
    rows = [_describe(standing) for standing in request.app[CREDENTIALS].standings()]
    if request.query.get("format") == "table":
        return web.Response(text=_render_table(rows))
    return web.json_response({"credentials": rows})


async def restore_credentials(request: web.Request) -> web.Response:
    """Use a credential again that is resting or set aside; without a name, all of a provider."""
    provider = request.match_info["provider"]
    credential_id = (await read_fields(request, _RESTORED)).get("credential_id")
    restored = request.app[CREDENTIALS].restore(provider, credential_id)
    if restored is None:
        # What was asked for is not repeated: somebody may have pasted a credential.
        raise NotFoundError("There is no such credential; GET /credentials lists them.")
    for name in restored:
        _log.info(
            "credential.restored",
            provider=provider,
            credential_id=name,
            admin=request[ADMIN],
            client=request[CLIENT],
        )
    return web.json_response({"provider": provider, "restored": list(restored)})


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
        "since": render_time(standing.since),
        "until": render_time(standing.until),
        "in_flight": standing.in_flight,
        "last_error": standing.last_error or None,
        "last_status": standing.last_status or None,
        "last_error_at": render_time(standing.last_error_at),
        **({"workers": standing.workers} if standing.workers else {}),
    }


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
