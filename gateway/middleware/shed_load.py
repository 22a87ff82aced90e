"""Whether there is room for another answer and it is this caller's turn.

The rule here: this comes after authentication, because only then do we know whose turn it is, and
refusing an unknown caller is cheaper still. It comes before the body is read, because that is the
first real cost of a request. Only requests for answers are refused: lists cost next to nothing.
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
    """Let through as many requests for answers as we can carry, and nobody beyond their share."""
    if request.match_info.route.name in RELAYED_ROUTES:
        pressure, exchange = request.app[PRESSURE], request[EXCHANGE]
        holder = _holder_of(exchange)
        if not pressure.seats.take(exchange, holder):
            pressure.door.note(request.raw_headers, holder)
            raise _refuse(pressure, holder)
    return await handler(request)


def _holder_of(exchange: Exchange) -> str:
    """Whose share counts: the tenant's, or the caller's own; all callers without a key are one."""
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
