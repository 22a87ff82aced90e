"""Whether they may call now: checks the rules under `limits` before anything is sent upstream.

The rule here: what is admitted is settled when the exchange ends, so there is nothing to undo here,
whatever is raised further in. A middleware placed `after: enforce_limits` can rely on knowing the
principal, the call and the credential, and an error it raises becomes the answer.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.limits.asked import read_asked
from gateway.limits.limiter import GRANT, NO_LIMITS, Limiter
from gateway.plugins.api import EXCHANGE, RESPONSE_HEADERS
from gateway.plugins.keys import CALL, PROMPT

LIMITER: web.AppKey[Limiter | None] = web.AppKey("limiter", Limiter)
"""Set by `app`, one of the observers, so that it hears of every end; None without rules."""


@web.middleware
async def enforce_limits(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request for an answer through if every rule that applies to it agrees."""
    limiter = request.app[LIMITER]
    if limiter is None:
        request[GRANT] = NO_LIMITS
    elif (call := request.get(CALL)) is not None:
        exchange = request[EXCHANGE]
        asked = read_asked(exchange, call, request[PROMPT])
        grant = request[GRANT] = await limiter.admit(exchange, asked)
        request[RESPONSE_HEADERS].update(grant.headers)
        if grant.refusal is not None:
            raise grant.refusal
    return await handler(request)
