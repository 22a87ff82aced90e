"""The caller's side of one stream: head, framing, back-pressure, and how it ends.

The rule here: a stream ends cleanly only through `response.write_eof` after `close`; every
other end closes the connection without the last chunk.
"""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from gateway.core.tcp_reset import reset_on_close
from gateway.relay.stalls import put_off_by_reading, unacknowledged_bytes

# Above this the provider is read no further until the caller has caught up.
HIGH_WATER_BYTES = 64 * 1024

# What may leave together with the head, or with the end of the framing: aiohttp writes those, and
# waits for a slow reader above 64 KiB, without a deadline.
MAX_JOINED_BYTES = 16 * 1024

MAX_RESET_WAIT_S = 1.0
RESET_POLL_S = 0.005


def make_response(request: web.BaseRequest, headers: Mapping[str, str]) -> web.StreamResponse:
    """An answer to be streamed, with no body yet.

    Where it is chunked it is a `Response`: that sends its head together with what is written
    first, and its body together with the last chunk. A stream takes two writes less so.
    """
    if request.version < HttpVersion11:
        return web.StreamResponse(headers=headers)
    response = web.Response(headers=headers)
    response.enable_chunked_encoding()
    return response


class Downstream:
    """Holds what comes before the commit point, then writes through to the transport.

    After `open` no task wakes for a chunk: `put` frames the pieces and hands them to the
    transport in one write. (`StreamResponse.write` would cost a coroutine for each.)
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
        self._joins_held = joins_held  # what was held may leave as one chunk
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
        """What the operating system has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def takes_chunks(self) -> bool:
        """True when `put_framed` reaches the caller as it stands."""
        return self._transport is not None and self._is_chunked

    def put(self, pieces: list[bytes]) -> None:
        """Send each piece as a chunk of its own, or hold it while nothing is sent yet."""
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
        """Send one chunk that is framed already; it does not count in `bytes_out`."""
        transport = self._transport
        if transport is None:
            return
        try:
            transport.write(chunk)
        except RuntimeError:  # uvloop's, where the caller has left; asyncio drops the bytes
            self.detach()
            return
        if transport.get_write_buffer_size() > HIGH_WATER_BYTES and self.on_full is not None:
            self.on_full()

    async def open(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Send the head and what was held; from here on `put` writes through."""
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
        """Write no more; `last` goes out with the end of the framing, in one write."""
        if last and self._transport is not None:
            if isinstance(response, web.Response):
                self.bytes_out += len(last)
                response.body = last
            else:
                self.put([last])
        self.detach()

    async def drain(self, stall_s: float) -> bool:
        """Wait until the caller has read; False (and a cut) if they take nothing for `stall_s`."""
        writer, transport = self._writer, self._transport
        if writer is None or transport is None or not transport.get_write_buffer_size():
            return True
        try:
            async with asyncio.timeout(stall_s) as deadline:
                with put_off_by_reading(deadline, transport, stall_s):
                    await writer.drain()
        except TimeoutError:
            # close() would wait for the very reader that does not read.
            transport.abort()
            self.detach()
            return False
        except ConnectionError:
            self.detach()
        return True

    def detach(self) -> None:
        """Write no more: a late byte would land in the next response on that connection."""
        self._transport = None
        self._is_gone = True
        self._held = []

    def break_off(self, last_words: bytes, *, stall_s: float) -> None:
        """End as broken: `last_words` if any, then no last chunk. Await `reset` afterwards."""
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
        # A caller that reads nothing keeps a closing transport for ever.
        asyncio.get_running_loop().call_later(stall_s, transport.abort)

    async def reset(self, *, stall_s: float) -> None:
        """Reset a broken HTTP/1.0 caller: nginx takes a mere FIN for a clean end (measured)."""
        transport, self._to_reset = self._to_reset, None
        if transport is None or transport.is_closing():
            return
        peer = transport.get_extra_info("socket")
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + min(stall_s, MAX_RESET_WAIT_S)
        # A reset drops what the other side has not acknowledged; the kernel tells no event of that.
        while loop.time() < give_up_at and unacknowledged_bytes(transport, peer):  # noqa: ASYNC110 - as above
            await asyncio.sleep(RESET_POLL_S)
        if peer is not None and not transport.is_closing():
            reset_on_close(peer)
        transport.abort()

    def _take_first(self) -> bytes:
        """What leaves with the head."""
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
