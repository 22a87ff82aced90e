"""Observers that hear of settled exchanges a turn of the event loop later.

The rule here: whatever ended in one turn is told together, to one observer after the other: code
that runs for ten exchanges in a row costs far less than ten times from cold caches. A caller who
asks again at once finds what was held given back: what they send is read, and then waits behind
what was due when it came.
"""

import asyncio
from collections.abc import Callable, Sequence

from gateway.core.exchange import Exchange, Observer, report_failure

ObserveAll = Callable[[Sequence[Exchange]], None]
"""Called once with all exchanges that ended in a turn, in the order in which they were settled."""


class Afterwards:
    """An observer that stands for others; for one event loop."""

    def __init__(self) -> None:
        self.observers: tuple[ObserveAll, ...] = ()
        self._ended: list[Exchange] = []

    def take(self, exchange: Exchange) -> None:
        """An exchange is settled; an observer."""
        self._ended.append(exchange)
        if len(self._ended) == 1:
            asyncio.get_running_loop().call_soon(self.tell)

    def tell(self) -> None:
        """Tell the others now."""
        ended, self._ended = self._ended, []
        if ended:
            for observe_all in self.observers:
                try:
                    observe_all(ended)
                except Exception as error:  # noqa: BLE001 - observation fails open, and aloud
                    report_failure(error)


def each(observe: Observer) -> ObserveAll:
    """For an observer that hears of one exchange at a time; one that fails keeps back no other."""

    def observe_all(exchanges: Sequence[Exchange]) -> None:
        for exchange in exchanges:
            try:
                observe(exchange)
            except Exception as error:  # noqa: BLE001 - observation fails open, and aloud
                report_failure(error)

    return observe_all
