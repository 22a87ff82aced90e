"""A caller that speaks raw HTTP/1 to the gateway and repairs nothing.

The rule here: what came, how it was cut into chunks and how it ended is all it knows.
"""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

TIMEOUT_S = 30  # ends a test that hangs; 280,000 reads of a byte each take 6 s
SMALL_BUFFER_BYTES = 8 * 1024
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Heard:
    """All bytes of one answer, and how it ended."""

    raw: bytes
    was_reset: bool = False

    @property
    def head(self) -> str:
        """The status line and the headers, in lower case."""
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").lower()

    @property
    def status(self) -> int:
        """The status; 0 when nothing came."""
        return int(self.head.split(" ")[1]) if self.head else 0

    @property
    def framed(self) -> bytes:
        """The body with its framing."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def is_chunked(self) -> bool:
        """Whether the body came in chunks."""
        return "transfer-encoding: chunked" in self.head

    @property
    def chunks(self) -> list[bytes]:
        """The chunks of the body, without the last one."""
        return dechunk(self.framed)

    @property
    def body(self) -> bytes:
        """The body without its framing."""
        return b"".join(self.chunks) if self.is_chunked else self.framed

    @property
    def is_whole(self) -> bool:
        """Whether a chunked body ended as it should."""
        return self.framed.endswith(b"\r\n" + LAST_CHUNK) or self.framed == LAST_CHUNK

    @property
    def json(self) -> Any:
        """The body as one document."""
        return json.loads(self.body)


def dechunk(framed: bytes) -> list[bytes]:
    """The chunks of a body that may be cut short."""
    chunks = []
    while framed:
        size, _, rest = framed.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            break
        chunks.append(rest[:length])
        framed = rest[length + 2 :]
    return chunks


class Caller:
    """One connection to a listener, on loopback unless it is said."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", small_buffer: bool = False) -> None:
        self._address: tuple[str, int] | str = (host, port)
        self._socket = socket.socket()
        if small_buffer:  # what the kernel holds for a caller that does not read
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's own
        self.raw = bytearray()

    @classmethod
    def at(cls, path: str) -> Self:
        """A connection to a listener in the file system."""
        caller = cls(0)
        caller._socket.close()
        caller._address = path
        caller._socket = socket.socket(socket.AF_UNIX)
        caller._socket.setblocking(False)  # noqa: FBT003 - the standard library's own
        return caller

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().sock_connect(self._socket, self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def address(self) -> tuple[str, int]:
        """Where the listener sees it."""
        host, port = self._socket.getsockname()
        return host, port

    async def send(self, message: bytes) -> None:
        """Send raw bytes."""
        await asyncio.get_running_loop().sock_sendall(self._socket, message)

    async def read_until(self, mark: bytes) -> bytes:
        """Read until these bytes have come; what was read since the last call."""
        async with asyncio.timeout(TIMEOUT_S):
            while mark not in self.raw:
                piece = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
                assert piece, f"the connection ended before {mark!r}: {bytes(self.raw[-300:])!r}"
                self.raw += piece
        end = self.raw.index(mark) + len(mark)
        read = bytes(self.raw[:end])
        del self.raw[:end]
        return read

    async def read_some(self, max_bytes: int = 65_536) -> bytes:
        """Read what is there, at most so much; b"" at the end."""
        async with asyncio.timeout(TIMEOUT_S):
            piece = await asyncio.get_running_loop().sock_recv(self._socket, max_bytes)
        self.raw += piece
        return piece

    async def read_answer(self) -> Heard:
        """Read one answer that has a length; what follows it stays in `raw`."""
        head = Heard(await self.read_until(b"\r\n\r\n"))
        lengths = [line for line in head.head.split("\r\n") if line.startswith("content-length:")]
        length = int(lengths[0].partition(":")[2])
        while len(self.raw) < length:
            assert await self.read_some(), "the connection ended in the middle of an answer"
        body = bytes(self.raw[:length])
        del self.raw[:length]
        return Heard(head.raw + body)

    def read_now(self) -> bytes:
        """What has come so far and was not read."""
        try:
            return self._socket.recv(65_536, socket.MSG_PEEK)
        except BlockingIOError:
            return b""

    async def read_to_end(self) -> Heard:
        """Read until the connection ends."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while piece := await loop.sock_recv(self._socket, 65_536):
                    self.raw += piece
        except ConnectionResetError:
            return Heard(bytes(self.raw), was_reset=True)
        return Heard(bytes(self.raw))

    def hang_up(self) -> None:
        """Close the connection."""
        self._socket.close()

    def reset(self) -> None:
        """Close the connection with a reset in place of a FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)


def request_bytes(
    path: str, body: object, *, headers: tuple[str, ...] = (), version: str = "1.1"
) -> bytes:
    """One POST with a JSON body."""
    content = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/{version}",
        "Host: gateway",
        f"Content-Length: {len(content)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content
