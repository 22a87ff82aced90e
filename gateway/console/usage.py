"""The page `/usage` of the admin listener: sums of the ledger.

The rule here: the same question and the same answer as `gateway usage`.
"""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from gateway.core.clock import system_clock
from gateway.core.errors import (
    AccountingUnavailableError,
    InvalidRequestError,
    NotFoundError,
)
from gateway.core.retry_after import come_back
from gateway.ledger.usage import UsageError, make_query, render_csv, render_json
from gateway.stores.errors import StoreError
from gateway.stores.ledger import UsageQuery, UsageRow

FetchUsage = Callable[[UsageQuery], Awaitable[Sequence[UsageRow]]]

FETCH_USAGE: web.AppKey[FetchUsage] = web.AppKey("fetch_usage")
"""Asks the ledger; set where one is kept."""

PARAMETERS = ("by", "since", "until", "format")
FORMATS = ("json", "csv")


async def show_usage(request: web.Request) -> web.Response:
    """`?by=principal,model&since=7d&until=2026-11-28&format=json|csv`."""
    fetch_usage = request.app.get(FETCH_USAGE)
    if fetch_usage is None:
        raise NotFoundError("No ledger is kept; write `ledger: {}` in gateway.yaml.")
    asked = request.query
    unknown = next((name for name in asked if name not in PARAMETERS), None)
    if unknown is not None:
        raise InvalidRequestError(f"There is {', '.join(PARAMETERS)}.", param=unknown[:64])
    form = asked.get("format", "json")
    if form not in FORMATS:
        raise InvalidRequestError("`format` has to be json or csv.", param="format")
    try:
        # A plus that is written as it is means a blank in an address, and here it is a time zone's.
        since, until = (asked.get(name, "").replace(" ", "+") for name in ("since", "until"))
        query = make_query(asked.getall("by", []), since, until, system_clock())
    except UsageError as error:
        raise InvalidRequestError(f"{error}.") from None
    try:
        rows = await fetch_usage(query)
    except StoreError as error:
        raise AccountingUnavailableError(
            "The database of the ledger does not answer; try again.",
            detail=str(error),
            headers=come_back(),
        ) from None
    if form == "csv":
        return web.Response(text=render_csv(query, rows), content_type="text/csv")
    return web.Response(body=render_json(query, rows), content_type="application/json")
