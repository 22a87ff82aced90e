"""What an upstream connection tells whoever asked.

The rule here: for one request, `on_head` comes at most once and first, then `on_body` any
number of times, then exactly one of `on_end` and `on_failed`; all on the event loop, none
awaited.
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.core.errors import UpstreamError

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, values as received, in order."""


class Receiver(Protocol):
    """Takes one answer as it arrives."""

    def on_head(self, status: int, headers: Headers) -> None:
        """The final status line and headers have arrived."""

    def on_body(self, body: bytes) -> None:
        """All body bytes of one read."""

    def on_chunk(self, read: bytes) -> bool:
        """Offered a read that begins with a chunk of the body, framing included.

        True takes it, which only a receiver may do that has found it to be one whole chunk;
        False leaves it to be parsed, and `on_body` follows.
        """

    def on_end(self) -> None:
        """The message ended as its framing says."""

    def on_failed(self, error: UpstreamError) -> None:
        """No more will come; the answer is not whole."""
