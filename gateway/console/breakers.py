"""What the admin pages say of providers that are not asked just now.

The rule here: only what is not as usual is named.
"""

from collections.abc import Callable, Iterable

from aiohttp import web

from gateway.core.breaker import BreakerStanding, BreakerState

ListBreakers = Callable[[], Iterable[BreakerStanding]]

LIST_BREAKERS: web.AppKey[ListBreakers] = web.AppKey("list_breakers")


def name_breakers(standings: Iterable[BreakerStanding]) -> dict[str, str]:
    """The state of each provider that is not simply asked."""
    return {
        standing.provider: standing.state.value
        for standing in standings
        if standing.state is not BreakerState.CLOSED
    }
