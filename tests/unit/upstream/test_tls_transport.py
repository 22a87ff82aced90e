"""TLS under a connection: what is sent arrives, and an end is what the peer says it is."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
import trustme

from gateway.upstream.tls import open_tls_context
from gateway.upstream.tls_transport import MAX_RECORD_BYTES, start_tls
from tests.plugins.raw_provider import TIMEOUT_S, RawProvider, Serve, hang_up, reset

NAME = "127.0.0.1"
LONG = 20 * MAX_RECORD_BYTES


class Line(asyncio.Protocol):
    """What stands above the transport here: it notes what it hears."""

    def __init__(self) -> None:
        self.transport = asyncio.Transport()
        self.reads: list[bytes] = []
        self.cause: Exception | None = None
        self.is_paused = False
        self.has_read = asyncio.Event()
        self.is_lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Note it; nothing may come while reading is paused."""
        assert not self.is_paused
        self.reads.append(data)
        self.has_read.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note why."""
        self.cause = exc
        self.is_lost.set()

    async def read_until(self, size: int) -> bytes:
        """Wait for this many bytes."""
        async with asyncio.timeout(TIMEOUT_S):
            while sum(map(len, self.reads)) < size:
                self.has_read.clear()
                await self.has_read.wait()
        return b"".join(self.reads)

    async def wait_until_lost(self) -> Exception | None:
        """Wait for the end and give its cause."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.is_lost.wait()
        return self.cause


class HandMadePeer:
    """A server whose every record passes through the test's hands."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.error: ssl.SSLError | None = None

    def encrypt(self, data: bytes) -> bytes:
        """The record that carries this."""
        self._tls.write(data)
        return self._outgoing.read()

    async def shake_hands(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, step: int = LONG
    ) -> None:
        """Until it is done or has failed, a few bytes at a time."""
        while data := await reader.read(LONG):
            self._incoming.write(data)
            try:
                self._tls.do_handshake()
                is_up = True
            except ssl.SSLWantReadError:
                is_up = False
            except ssl.SSLError as error:
                self.error = error
                return
            await drip(writer, self._outgoing.read(), step=step)
            if is_up:
                return


async def drip(writer: asyncio.StreamWriter, data: bytes, *, step: int) -> None:
    """Send it a few bytes at a time."""
    for at in range(0, len(data), step):
        writer.write(data[at : at + step])
        await writer.drain()
        await asyncio.sleep(0)


class Rig:
    """Opens lines to providers."""

    def __init__(self, authority: trustme.CA, ca_file: Path) -> None:
        self.client = open_tls_context(ca_file)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(NAME).configure_cert(self.server)
        self._lines: list[Line] = []

    async def connect(self, provider: RawProvider, *, server_name: str = NAME) -> Line:
        """A line to it, its handshake done."""
        opened = socket.socket()
        opened.setblocking(False)  # noqa: FBT003 - the standard library's own
        await asyncio.get_running_loop().sock_connect(opened, (NAME, provider.port))
        line = await start_tls(Line(), self.client, sock=opened, server_name=server_name)
        self._lines.append(line)
        return line

    def close(self) -> None:
        """Let go of all lines."""
        for line in self._lines:
            if not line.is_lost.is_set():
                line.transport.abort()


@pytest.fixture
async def rig(authority: trustme.CA, ca_file: Path) -> AsyncIterator[Rig]:
    """A rig, closed at the end."""
    opened = Rig(authority, ca_file)
    yield opened
    opened.close()


def send_when_asked(pieces: Iterable[bytes]) -> Serve:
    """Wait for a byte, send these together, and wait for the peer to leave."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"".join(pieces))
        await writer.drain()
        await reader.read(1)

    return serve


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_what_is_written_comes_back(rig: Rig, version: ssl.TLSVersion) -> None:
    """Many records each way, of both versions."""
    rig.server.maximum_version = version
    sent = bytes(range(256)) * (LONG // 256)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(LONG):
            writer.write(data)
            await writer.drain()

    async with RawProvider(echo, rig.server) as provider:
        line = await rig.connect(provider)
        line.transport.write(sent)

        assert await line.read_until(len(sent)) == sent


async def test_one_read_of_the_socket_is_one_read_above(rig: Rig) -> None:
    """Records that came together are handed on together, as the bytes of a plain socket are."""
    peer = HandMadePeer(rig.server)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.shake_hands(reader, writer)
        writer.write(peer.encrypt(b"first") + peer.encrypt(b"second") + peer.encrypt(b"third"))
        await reader.read(1)

    async with RawProvider(serve) as provider:
        line = await rig.connect(provider)
        await line.read_until(len(b"firstsecondthird"))

    assert line.reads == [b"firstsecondthird"]


async def test_a_record_in_pieces_waits_for_its_rest(rig: Rig) -> None:
    """The network cuts where it likes: here after every byte, in the handshake too."""
    peer = HandMadePeer(rig.server)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.shake_hands(reader, writer, step=1)
        await drip(writer, peer.encrypt(b"an answer"), step=1)
        await reader.read(1)

    async with RawProvider(serve) as provider:
        line = await rig.connect(provider)

        assert await line.read_until(len(b"an answer")) == b"an answer"


async def test_a_paused_line_reads_nothing(rig: Rig) -> None:
    """The caller does not keep up, and the provider has to feel it."""
    sent = [b"x" * 4_000_000]
    async with RawProvider(send_when_asked(sent), rig.server) as provider:
        line = await rig.connect(provider)
        line.transport.write(b"?")
        await line.read_until(1)
        line.is_paused = True
        line.transport.pause_reading()
        held = sum(map(len, line.reads))
        for _ in range(50):
            await asyncio.sleep(0)
        assert sum(map(len, line.reads)) == held < len(sent[0])

        line.is_paused = False
        line.transport.resume_reading()
        assert await line.read_until(len(sent[0])) == sent[0]


async def test_a_peer_that_closes_in_order_is_no_failure(rig: Rig) -> None:
    """Its `close_notify` says that this was all."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"all")
        await hang_up(writer)

    async with RawProvider(serve, rig.server) as provider:
        line = await rig.connect(provider)

        assert await line.wait_until_lost() is None

    assert line.reads == [b"all"]


async def test_an_end_without_a_word_is_a_failure(rig: Rig) -> None:
    """A FIN can come from anybody on the way."""
    peer = HandMadePeer(rig.server)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.shake_hands(reader, writer)
        writer.write(peer.encrypt(b"half"))
        await hang_up(writer)

    async with RawProvider(serve) as provider:
        line = await rig.connect(provider)
        cause = await line.wait_until_lost()

    assert line.reads == [b"half"]
    assert isinstance(cause, ConnectionResetError)


async def test_a_reset_that_comes_with_the_last_bytes_is_noticed(rig: Rig) -> None:
    """Both are one wake-up of the loop; unnoticed, an answer would hang until a deadline."""
    peer = HandMadePeer(rig.server)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.shake_hands(reader, writer)
        writer.get_extra_info("socket").send(peer.encrypt(b"half"))
        reset(writer)

    async with RawProvider(serve) as provider:
        line = await rig.connect(provider)

        assert isinstance(await line.wait_until_lost(), ConnectionResetError)


async def test_a_record_that_was_tampered_with_ends_the_line(rig: Rig) -> None:
    """What was whole before it is handed on; the failure says what it was."""
    peer = HandMadePeer(rig.server)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.shake_hands(reader, writer)
        whole, damaged = peer.encrypt(b"whole"), bytearray(peer.encrypt(b"tampered with"))
        damaged[-1] ^= 1
        writer.write(whole + damaged)
        await reader.read()

    async with RawProvider(serve) as provider:
        line = await rig.connect(provider)
        cause = await line.wait_until_lost()

    assert line.reads == [b"whole"]
    assert isinstance(cause, ssl.SSLError)


async def test_the_peer_is_told_why_a_handshake_failed(rig: Rig) -> None:
    """Its operator finds the alert in a log, not a connection that just closed."""
    peer = HandMadePeer(rig.server)
    async with RawProvider(peer.shake_hands) as provider:
        with pytest.raises(ssl.SSLCertVerificationError):
            await rig.connect(provider, server_name="other.example")
        await provider.wait_until_left()

    assert peer.error is not None
    assert peer.error.reason is not None
    assert "ALERT" in peer.error.reason
