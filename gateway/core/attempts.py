"""The record of one try at one provider.

The rule here: an attempt without an error of its own ended as its exchange did.
"""

import msgspec

from gateway.core.cost import Cost
from gateway.core.errors import GatewayError, UpstreamError
from gateway.core.trace import AttemptTrace
from gateway.core.usage import Usage


class AttemptRecord(msgspec.Struct, eq=False, gc=False):
    """One attempt of an exchange. Times are seconds of `core.clock.monotonic`."""

    number: int  # 1 is the first
    provider: str
    model: str
    credential_id: str  # the credential that the provider was sent
    started_at: float
    ended_at: float = 0.0  # 0: not yet
    status: int = 0  # the provider's; 0: it sent none
    error_code: str = ""
    is_providers_fault: bool = False  # whether the error is the provider's
    upstream_request_id: str = ""
    usage: Usage | None = None  # what it is billed for
    cost: Cost | None = None  # the cost of that usage, at our price
    trace: AttemptTrace | None = None  # set if tracing is on and the trace is sampled

    def note_error(self, error: GatewayError) -> None:
        """Note why it failed."""
        self.error_code = error.code
        self.is_providers_fault = isinstance(error, UpstreamError)

    def begin_again(self) -> None:
        """Forget the error: its connection was already dead, which is no failure of anybody."""
        self.error_code, self.is_providers_fault, self.ended_at = "", False, 0.0
