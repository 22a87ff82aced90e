"""How many exchanges have begun and are not settled.

The rule here: counted in once and out once, by the exchange's own settling.
"""

import asyncio

from gateway.core.exchange import Exchange


class InFlight:
    """A counter that can be waited for."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: asyncio.Future[None] | None = None

    def count_in(self) -> None:
        """An exchange begins."""
        self.count += 1

    def count_out(self, _: Exchange) -> None:
        """An exchange is settled; an observer."""
        self.count -= 1
        if self.count == 0:
            self.stop_waiting()

    async def wait_until_none(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight; False when `timeout_s` passed first."""
        if self.count:
            self._waiting = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._waiting], timeout=timeout_s)
        return self.count == 0

    def stop_waiting(self) -> None:
        """Let whoever waits go on, whatever is still in flight."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
