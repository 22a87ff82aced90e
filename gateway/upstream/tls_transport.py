"""TLS between a connection and its socket.

The rule here: an encrypted connection ended properly only if the peer said so. Without a
`close_notify` it was cut, whatever TCP says (RFC 8446 section 6.1).
"""

import asyncio
import socket
import ssl
from typing import Any, TypeVar, cast

from typing_extensions import override

# The plaintext of one record (RFC 8446 section 5.1); OpenSSL reads no more at a time.
MAX_RECORD_BYTES = 16 * 1024
# The most that is written to a `MemoryBIO` at once, because it grows as needed and never shrinks.
MAX_BUFFERED_BYTES = 32 * 1024

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


async def start_tls(
    protocol: ProtocolT, context: ssl.SSLContext, *, sock: socket.socket, server_name: str
) -> ProtocolT:
    """Do the handshake over a connected socket, then let `protocol` talk through TLS.

    If the handshake fails, its error is raised and the socket is closed.
    """
    loop = asyncio.get_running_loop()
    transport = TlsTransport(protocol, context, server_name)
    try:
        await loop.create_connection(lambda: transport, sock=sock)
        await transport.ready
    except BaseException:
        transport.abort()
        raise
    return protocol


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """A protocol for the socket's transport, and a transport for the protocol above.

    The standard library does the TLS (`SSLObject`); this moves bytes in and out of it. It
    implements only the transport methods that the protocol above calls.
    """

    __slots__ = (
        "_failure",
        "_incoming",
        "_is_closed_by_peer",
        "_is_settled",
        "_is_up",
        "_outgoing",
        "_protocol",
        "_socket",
        "_tls",
        "ready",
    )

    def __init__(
        self, protocol: asyncio.Protocol, context: ssl.SSLContext, server_name: str
    ) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._protocol = protocol
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._socket: asyncio.Transport | None = None
        self._is_up = False  # the handshake is done
        # The TLS 1.3 tickets that follow the handshake make OpenSSL 3.0 allocate its write buffer
        # (17 KiB) again and keep it until the next write. So once they have arrived we write
        # nothing at all, which frees it.
        self._is_settled = False
        self._is_closed_by_peer = False
        self._failure: Exception | None = None  # why we closed the connection

    # called by the protocol above

    @override
    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if self._socket is None:
            return
        records: list[bytes] = []
        for start in range(0, len(data), MAX_RECORD_BYTES):
            self._tls.write(data[start : start + MAX_RECORD_BYTES])
            records.append(self._outgoing.read())
        if not self._socket.is_closing():
            self._socket.write(b"".join(records))

    @override
    def is_closing(self) -> bool:
        return self._socket is None or self._socket.is_closing()

    @override
    def abort(self) -> None:
        if self._socket is not None:
            self._socket.abort()

    @override
    def pause_reading(self) -> None:
        if self._socket is not None:
            self._socket.pause_reading()

    @override
    def resume_reading(self) -> None:
        if self._socket is not None:
            self._socket.resume_reading()

    @override
    def get_write_buffer_size(self) -> int:
        return 0 if self._socket is None else self._socket.get_write_buffer_size()

    @override
    def get_extra_info(self, name: str, default: object = None) -> object:
        return default if self._socket is None else self._socket.get_extra_info(name, default)

    # called by the socket's transport

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.Transport", transport)
        self._shake_hands(self._socket)

    @override
    def data_received(self, data: bytes) -> None:
        transport = self._socket
        if transport is None:
            return
        if not self._is_settled or len(data) > MAX_BUFFERED_BYTES:
            self._receive(transport, data)
            return
        # One record, as for most chunks of a stream: half the steps of `_hand_on`.
        self._incoming.write(data)
        try:
            piece = self._tls.read(MAX_RECORD_BYTES)
        except ssl.SSLWantReadError:  # the rest of the record is still on its way
            self._flush(transport)
            return
        except ssl.SSLError as error:
            self._failure = error
            transport.abort()
            return
        if piece and not self._incoming.pending and not self._outgoing.pending:
            self._protocol.data_received(piece)
        else:
            self._is_closed_by_peer = not piece
            self._hand_on(transport, self._incoming.read(), [piece])

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._socket = None
        cause = self._failure or exc
        if cause is None and not self._is_closed_by_peer:
            cause = ConnectionResetError("closed without a close_notify")
        if self._is_up:
            self._protocol.connection_lost(cause)
        elif not self.ready.done():
            self.ready.set_exception(cause or ConnectionResetError("closed in the handshake"))

    # inside

    def _shake_hands(self, transport: asyncio.Transport) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush(transport)
            return
        except ssl.SSLError as error:
            self._failure = error
            self._flush(transport)  # the alert that tells the peer why
            transport.close()
            return
        self._flush(transport)
        self._is_up = True
        self._protocol.connection_made(self)
        if not self.ready.done():  # it was cancelled if the caller left
            self.ready.set_result(None)
        if self._incoming.pending:
            self._receive(transport, self._incoming.read())

    def _receive(self, transport: asyncio.Transport, data: bytes) -> None:
        if not self._is_up:
            self._incoming.write(data)
            self._shake_hands(transport)
            return
        pieces: list[bytes] = []
        self._hand_on(transport, data, pieces)
        if pieces and not self._is_settled and not transport.is_closing():
            self._is_settled = True
            self._tls.write(b"")

    def _hand_on(self, transport: asyncio.Transport, data: bytes, pieces: list[bytes]) -> None:
        """Decrypt what arrived and pass it up in one piece, as a socket would."""
        for start in range(0, len(data), MAX_BUFFERED_BYTES):
            self._incoming.write(data[start : start + MAX_BUFFERED_BYTES])
            try:
                while self._incoming.pending:
                    piece = self._tls.read(MAX_RECORD_BYTES)
                    if not piece:
                        self._is_closed_by_peer = True
                        break
                    pieces.append(piece)
            except ssl.SSLWantReadError:  # the rest of a record is still on its way
                pass
            except ssl.SSLError as error:
                self._failure = error
                break
        together = b"".join(pieces)
        if together:
            self._protocol.data_received(together)
        if self._is_closed_by_peer or self._failure is not None:
            transport.abort()
        elif self._outgoing.pending:  # a reply by TLS itself, to a key update
            self._flush(transport)

    def _flush(self, transport: asyncio.Transport) -> None:
        if self._outgoing.pending and not transport.is_closing():
            transport.write(self._outgoing.read())
