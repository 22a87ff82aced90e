"""Taking one answer whole, where nobody is there to relay it to.

The rule here: no more bytes than the limit, and an answer that is cut is none.
"""

import asyncio

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import UpstreamReplyTooLargeError
from gateway.upstream.receiver import Headers


class WholeAnswer:
    """A `Receiver` that keeps what comes; `done` is set at the end, or fails."""

    def __init__(self, label: str, *, max_bytes: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status = 0
        self.headers: Headers = ()
        self.body = bytearray()
        self._label = label
        self._max_bytes = max_bytes

    def on_head(self, status: int, headers: Headers) -> None:
        """Keep the status and the headers."""
        self.status, self.headers = status, headers

    def on_body(self, body: bytes) -> None:
        """Keep a piece, or give up."""
        self.body += body
        if len(self.body) > self._max_bytes:
            self.body.clear()
            self.on_failed(
                UpstreamReplyTooLargeError(
                    f"The answer of {self._label} is larger than {self._max_bytes} bytes."
                )
            )

    def on_chunk(self, read: bytes) -> bool:  # noqa: ARG002 - a receiver's
        """Leave every read to the parser."""
        return False

    def on_end(self) -> None:
        """All of it is there."""
        if not self.done.done():
            self.done.set_result(None)

    def on_failed(self, error: UpstreamError) -> None:
        """It is not whole."""
        if not self.done.done():
            self.done.set_exception(error)
