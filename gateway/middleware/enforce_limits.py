"""May they call now: the place where limits, quotas and budgets are asked.

The rule here: what is admitted is settled. Nothing is limited yet; what the place promises is
kept already, so that a middleware set `after: enforce_limits` can rely on it: the principal,
the call and the credential are known, nothing has been sent upstream, and whatever is raised
here is the answer.
"""

from aiohttp import web
from aiohttp.typedefs import Handler


@web.middleware
async def enforce_limits(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let everything through: no limits can be configured yet."""
    return await handler(request)
