"""An attempt whose answer is measured as it arrives, because a limit may end it.

The rule here: exchanges under no such limit use a plain `Attempt` and pay nothing for this one.
"""

from typing_extensions import override

from gateway.core.errors import GatewayError
from gateway.limits.allowance import Allowance
from gateway.relay.attempt import Attempt, AttemptLimits
from gateway.relay.deadlines import Deadlines
from gateway.relay.pumps import Pump
from gateway.upstream.connection import Connection


class WatchedAttempt(Attempt):
    """One try at one upstream that ends when its limits are used up."""

    __slots__ = ("_allowance",)

    def __init__(
        self,
        connection: Connection,
        pump: Pump,
        deadlines: Deadlines,
        limits: AttemptLimits,
        allowance: Allowance,
    ) -> None:
        super().__init__(connection, pump, deadlines, limits)
        self._allowance = allowance
        allowance.watch(pump, self.fail)

    @override
    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._allowance.look()

    @override
    def on_chunk(self, read: bytes) -> bool:
        is_taken = super().on_chunk(read)
        if is_taken:
            self._allowance.look()
        return is_taken

    @override
    def _end(self, error: GatewayError | None) -> None:
        self._allowance.leave()  # before its usage is noted, or it would count twice
        super()._end(error)
