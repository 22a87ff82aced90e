"""Telling observers about settled exchanges one iteration of the event loop later.

The rule here: all exchanges that ended in one iteration are told together, to one observer after
the other. Code that runs for ten exchanges in a row costs far less than ten runs with cold caches.
A caller who sends another request at once still finds everything released: their request is read,
but handled only after the callbacks that were already due.
"""

import asyncio
from collections.abc import Callable, Sequence

from gateway.core.exchange import Exchange, Observer, report_failure

ObserveAll = Callable[[Sequence[Exchange]], None]
"""Called once with all exchanges that ended in a turn, in the order in which they were settled."""


class Afterwards:
    """An observer that passes exchanges on to others later; for one event loop."""

    def __init__(self) -> None:
        self.observers: tuple[ObserveAll, ...] = ()
        self._ended: list[Exchange] = []

    def take(self, exchange: Exchange) -> None:
        """Take a settled exchange; called as an observer."""
        self._ended.append(exchange)
        if len(self._ended) == 1:
            asyncio.get_running_loop().call_soon(self.tell)

    def tell(self) -> None:
        """Tell the observers now."""
        ended, self._ended = self._ended, []
        if ended:
            for observe_all in self.observers:
                try:
                    observe_all(ended)
                except Exception as error:  # noqa: BLE001 - observation fails open, and aloud
                    report_failure(error)


def each(observe: Observer) -> ObserveAll:
    """Adapt an observer of single exchanges; if it fails for one, it still gets the others."""

    def observe_all(exchanges: Sequence[Exchange]) -> None:
        for exchange in exchanges:
            try:
                observe(exchange)
            except Exception as error:  # noqa: BLE001 - observation fails open, and aloud
                report_failure(error)

    return observe_all
