"""Is there room for another answer, and is it this caller's turn: refuses before the body is read.

The rule here: after authentication, because whose turn it is cannot be said before, and who is not
known is refused for less; before the body, because that is what a request costs first. Only
requests for answers are refused: lists cost next to nothing.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.errors import OverloadedError
from gateway.core.exchange import Exchange
from gateway.core.retry_after import come_back
from gateway.overload.door import SENTENCE
from gateway.overload.pressure import Pressure
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import RELAYED_ROUTES

PRESSURE: web.AppKey[Pressure] = web.AppKey("pressure", Pressure)
"""Set by `app`; its seats are one of the observers, so that they hear of every end."""


@web.middleware
async def shed_load(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let as many requests for answers through as can be borne, and nobody above their share."""
    if request.match_info.route.name in RELAYED_ROUTES:
        pressure, exchange = request.app[PRESSURE], request[EXCHANGE]
        holder = _holder_of(exchange)
        if not pressure.seats.take(exchange, holder):
            pressure.door.note(request.raw_headers, holder)
            raise _refuse(pressure, holder)
    return await handler(request)


def _holder_of(exchange: Exchange) -> str:
    """Who shares with whom: tenants, and whoever has none; all without a key are one."""
    principal = exchange.principal
    if principal is None:
        return ""
    return f"tenant {principal.tenant}" if principal.tenant else principal.name


def _refuse(pressure: Pressure, holder: str) -> OverloadedError:
    pressure.note_refusal()
    seats = pressure.seats
    return OverloadedError(
        SENTENCE,
        detail=f"{seats.count} in flight, limit {int(seats.limit)}, "
        f"{seats.count_of(holder)} of this caller's",
        headers=come_back(),
    )
