"""Collecting one whole answer that is for us and not for a caller.

The rule here: never more bytes than the limit, and a truncated answer counts as a failure.
"""

import asyncio

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import UpstreamReplyTooLargeError
from gateway.upstream.receiver import Headers


class WholeAnswer:
    """A `Receiver` that collects the answer; `done` is set at its end, or gets the error."""

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
        """Keep a piece, or give up if the answer gets too large."""
        self.body += body
        if len(self.body) > self._max_bytes:
            self.body.clear()
            self.on_failed(
                UpstreamReplyTooLargeError(
                    f"The answer of {self._label} is larger than {self._max_bytes} bytes."
                )
            )

    def on_chunk(self, read: bytes) -> bool:  # noqa: ARG002 - the `Receiver` protocol's
        """Have every read parsed."""
        return False

    def on_end(self) -> None:
        """The answer is complete."""
        if not self.done.done():
            self.done.set_result(None)

    def on_failed(self, error: UpstreamError) -> None:
        """The answer is incomplete."""
        if not self.done.done():
            self.done.set_exception(error)
