"""The caller's side of one stream: its head, framing, back-pressure and end.

The rule here: a stream ends cleanly only through `response.write_eof` after `close`. Any other
end closes the connection without the last chunk.
"""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from gateway.core.tcp_reset import reset_on_close
from gateway.relay.stalls import put_off_by_reading, unacknowledged_bytes

# Above this we stop reading from the provider until the caller has caught up.
HIGH_WATER_BYTES = 64 * 1024

# How much may be sent together with the head, or with the end of the framing. aiohttp writes
# those, and above 64 KiB it waits for a slow reader without a deadline.
MAX_JOINED_BYTES = 16 * 1024

MAX_RESET_WAIT_S = 1.0
RESET_POLL_S = 0.005


def make_response(request: web.BaseRequest, headers: Mapping[str, str]) -> web.StreamResponse:
    """A response to stream into, with no body yet.

    A chunked one is a `Response`, because aiohttp sends the head of a `Response` together with the
    first write, and its body together with the last chunk. That saves two writes per stream.
    """
    if request.version < HttpVersion11:
        return web.StreamResponse(headers=headers)
    response = web.Response(headers=headers)
    response.enable_chunked_encoding()
    return response


class Downstream:
    """Holds what arrives before the commit point, then writes straight to the transport.

    After `open` a chunk wakes no task: `put` frames the pieces and gives them to the transport in
    one write. (`StreamResponse.write` would cost a coroutine for each.)
    """

    __slots__ = (
        "_held",
        "_is_chunked",
        "_is_gone",
        "_joins_held",
        "_to_reset",
        "_transport",
        "_writer",
        "bytes_out",
        "held_bytes",
        "on_full",
    )

    def __init__(self, *, joins_held: bool = False) -> None:
        self.on_full: Callable[[], None] | None = None
        self._joins_held = joins_held  # held pieces may be sent as one chunk
        self.bytes_out = 0
        self.held_bytes = 0
        self._held: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._writer: AbstractStreamWriter | None = None
        self._is_chunked = True
        self._is_gone = False
        self._to_reset: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """True between `open` and `detach` or `break_off`."""
        return self._transport is not None

    @property
    def unsent_bytes(self) -> int:
        """How many bytes the operating system has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def takes_chunks(self) -> bool:
        """True when `put_framed` may be used: the stream is open and chunked."""
        return self._transport is not None and self._is_chunked

    def put(self, pieces: list[bytes]) -> None:
        """Send each piece as a chunk of its own, or hold it until the head is sent."""
        transport = self._transport
        if transport is None:
            self._hold(pieces)
            return
        if transport.is_closing():  # uvloop raises where asyncio warns
            self.detach()
            return
        if len(pieces) == 1 and self._is_chunked:
            piece = pieces[0]
            self.bytes_out += len(piece)
            transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            self._write(transport, pieces)
        if transport.get_write_buffer_size() > HIGH_WATER_BYTES and self.on_full is not None:
            self.on_full()

    def put_framed(self, chunk: bytes) -> None:
        """Send one chunk that is already framed; `bytes_out` does not count it."""
        transport = self._transport
        if transport is None:
            return
        try:
            transport.write(chunk)
        except RuntimeError:  # uvloop raises it if the caller has left; asyncio drops the bytes
            self.detach()
            return
        if transport.get_write_buffer_size() > HIGH_WATER_BYTES and self.on_full is not None:
            self.on_full()

    async def open(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Send the head and what was held; from now on `put` writes to the transport."""
        self._writer = await response.prepare(request)
        self._is_chunked = request.version >= HttpVersion11
        transport = request.transport
        if transport is None:
            self._is_gone = True
            raise ConnectionResetError("The caller left while the head was written.")
        if isinstance(response, web.Response):
            await response.write(self._take_first())
        self._transport = transport
        held, self._held = self._held, []
        if held:
            self.put(held)

    def close(self, response: web.StreamResponse, last: bytes) -> None:
        """Stop writing; `last` is sent with the end of the framing in one write."""
        if last and self._transport is not None:
            if isinstance(response, web.Response):
                self.bytes_out += len(last)
                response.body = last
            else:
                self.put([last])
        self.detach()

    async def drain(self, stall_s: float) -> bool:
        """Wait until the caller has read all; cut and give False after `stall_s` of no reading."""
        writer, transport = self._writer, self._transport
        if writer is None or transport is None or not transport.get_write_buffer_size():
            return True
        try:
            async with asyncio.timeout(stall_s) as deadline:
                with put_off_by_reading(deadline, transport, stall_s):
                    await writer.drain()
        except TimeoutError:
            # `close()` would first wait for the buffer to empty, which it never will.
            transport.abort()
            self.detach()
            return False
        except ConnectionError:
            self.detach()
        return True

    def detach(self) -> None:
        """Stop writing: a late byte would end up in the next response on the connection."""
        self._transport = None
        self._is_gone = True
        self._held = []

    def break_off(self, last_words: bytes, *, stall_s: float) -> None:
        """End as broken: write `last_words` but no last chunk. Await `reset` afterwards."""
        transport = self._transport
        self.detach()
        if transport is None or transport.is_closing():
            return
        if last_words:
            self._write(transport, [last_words])
        if not self._is_chunked:
            self._to_reset = transport
            return
        transport.close()
        # A closing transport waits for ever for a caller that reads nothing.
        asyncio.get_running_loop().call_later(stall_s, transport.abort)

    async def reset(self, *, stall_s: float) -> None:
        """Reset a broken HTTP/1.0 connection: nginx takes a mere FIN for a clean end (measured)."""
        transport, self._to_reset = self._to_reset, None
        if transport is None or transport.is_closing():
            return
        peer = transport.get_extra_info("socket")
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + min(stall_s, MAX_RESET_WAIT_S)
        # A reset discards what the other side has not acknowledged, and the kernel offers no event
        # for acknowledgements.
        while loop.time() < give_up_at and unacknowledged_bytes(transport, peer):  # noqa: ASYNC110 - as above
            await asyncio.sleep(RESET_POLL_S)
        if peer is not None and not transport.is_closing():
            reset_on_close(peer)
        transport.abort()

    def _take_first(self) -> bytes:
        """What to send together with the head."""
        if not self._held or self.held_bytes > MAX_JOINED_BYTES:
            return b""
        if self._joins_held:
            first = b"".join(self._held)
            self._held = []
        else:
            first = self._held.pop(0)
        self.bytes_out += len(first)
        return first

    def _hold(self, pieces: list[bytes]) -> None:
        if self._is_gone:
            return
        self._held += pieces
        self.held_bytes += sum(map(len, pieces))
        if self.held_bytes > HIGH_WATER_BYTES and self.on_full is not None:
            self.on_full()

    def _write(self, transport: asyncio.Transport, pieces: list[bytes]) -> None:
        self.bytes_out += sum(map(len, pieces))
        if self._is_chunked:
            pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
        transport.write(b"".join(pieces))
