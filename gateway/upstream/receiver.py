"""The callbacks through which an upstream connection delivers an answer.

The rule here: for each request, `on_head` is called first and at most once, then `on_body` any
number of times, then exactly one of `on_end` and `on_failed`. All are called on the event loop and
none is awaited.
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.core.errors import UpstreamError

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, values as received, in order."""


class Receiver(Protocol):
    """Receives one answer as it arrives."""

    def on_head(self, status: int, headers: Headers) -> None:
        """The final status line and headers have arrived."""

    def on_body(self, body: bytes) -> None:
        """All body bytes of one read."""

    def on_chunk(self, read: bytes) -> bool:
        """Offers a read that begins with a chunk of the body, framing included.

        Return True to take it, which is allowed only if it is exactly one whole chunk. Return
        False to have it parsed; `on_body` follows.
        """

    def on_end(self) -> None:
        """The message ended as its framing announced."""

    def on_failed(self, error: UpstreamError) -> None:
        """Nothing more will come, and the answer is incomplete."""
