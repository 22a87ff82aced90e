"""Opening a connection: each step fails under its own name, in its own time, leaving nothing."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamAddressError,
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamDnsError,
    UpstreamTlsError,
)
from gateway.upstream.connection import Connection
from gateway.upstream.dial import Target, open_connection
from gateway.upstream.resolver import AddressInfo, Resolver
from gateway.upstream.tls import open_tls_context
from tests.plugins.raw_provider import OK, REQUEST, RawProvider, Recorder, answer_with, hang_up

SHORT_S = 0.05
MakeTarget = Callable[..., Target]


def make_connection() -> Connection:
    """A connection that belongs to nobody."""
    return Connection("Groq", on_idle=lambda _: None, on_gone=lambda _: None)


def open_sockets() -> set[str]:
    """The sockets that this process has open."""
    links: set[str] = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.add(str(descriptor.readlink()))
        except FileNotFoundError:  # the directory itself, closed by now
            continue
    return {link for link in links if link.startswith("socket:")}


@asynccontextmanager
async def no_socket_is_left() -> AsyncIterator[None]:
    """Fail when more sockets are open at the end than at the beginning."""
    if not sys.platform.startswith("linux"):
        yield
        return
    before = open_sockets()
    yield
    for _ in range(1000):  # what was closed is gone some turns of the loop later
        if open_sockets() <= before:
            return
        await asyncio.sleep(0)
    assert open_sockets() - before == set()


async def fail_to_open(target: Target, resolver: Resolver) -> UpstreamError:
    """The error of a connection that cannot be opened; nothing of it may be left."""
    async with no_socket_is_left():
        with pytest.raises(UpstreamError) as caught:
            await open_connection(target, resolver, make_connection)
        # The traceback would hold what it was about.
        return caught.value.with_traceback(None)


@pytest.fixture
def blackhole() -> AsyncIterator[int]:
    """A port whose SYN packets are dropped: its queue is full and nobody accepts."""
    if not sys.platform.startswith("linux"):
        pytest.skip("a full queue drops connections on Linux only")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        filling = [socket.socket() for _ in range(3)]
        for each in filling:
            each.setblocking(False)  # noqa: FBT003 - the standard library's own
            each.connect_ex(("127.0.0.1", port))
        yield port
        for each in filling:
            each.close()


async def test_a_connection_is_opened_to_an_address(
    make_target: MakeTarget, resolver: Resolver
) -> None:
    """The plain case, with its buffers bounded and its small writes unhindered."""
    async with RawProvider(answer_with(OK)) as provider, no_socket_is_left():
        connection = await open_connection(make_target(provider.port), resolver, make_connection)
        recorder = Recorder()
        connection.send(REQUEST, recorder)
        await recorder.wait()
        peer = connection._transport.get_extra_info("socket")  # noqa: SLF001 - its socket's options
        keep_alive = peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        no_delay = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        received_bytes = peer.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        connection.abort()

    assert recorder.body == b"ok"
    assert no_delay
    assert keep_alive  # a provider whose machine is gone is noticed while nothing is sent
    assert received_bytes <= 2 * 256 * 1024  # Linux doubles what was asked for


async def test_a_refused_connection(
    make_target: MakeTarget, resolver: Resolver, closed_port: int
) -> None:
    """502 at once, and worth another attempt (fault F01)."""
    error = await fail_to_open(make_target(closed_port), resolver)

    assert type(error) is UpstreamConnectError
    assert (error.status, error.is_retryable) == (502, True)
    assert error.public == "Groq cannot be reached."
    assert "127.0.0.1" not in error.public


async def test_a_connection_that_is_not_answered(
    make_target: MakeTarget, resolver: Resolver, blackhole: int
) -> None:
    """The kernel alone would try for two minutes (fault F02)."""
    error = await fail_to_open(make_target(blackhole, connect_s=SHORT_S), resolver)

    assert type(error) is UpstreamConnectTimeoutError
    assert (error.status, error.is_retryable) == (504, True)


async def test_a_caller_who_leaves_during_the_connect_leaves_no_socket(
    make_target: MakeTarget, resolver: Resolver, blackhole: int
) -> None:
    """Users press stop while a provider is down, again and again."""
    async with no_socket_is_left():
        opening = asyncio.ensure_future(
            open_connection(make_target(blackhole), resolver, make_connection)
        )
        for _ in range(20):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])

    assert opening.cancelled()


async def test_the_next_address_is_tried_when_one_does_not_answer(
    make_target: MakeTarget, blackhole: int
) -> None:
    """Happy eyeballs: one dead address of several costs a quarter of a second."""
    async with RawProvider(answer_with(OK)) as provider:
        resolver = Resolver(lambda *_: [loopback(blackhole), loopback(provider.port)])
        connection = await open_connection(
            make_target(1, host="two.example"), resolver, make_connection
        )
        peer = connection._transport.get_extra_info("peername")  # noqa: SLF001 - where it went
        connection.abort()
        resolver.close()

        assert peer == ("127.0.0.1", provider.port)


async def test_a_host_that_has_moved_is_found_by_the_next_attempt(
    make_target: MakeTarget, closed_port: int
) -> None:
    """F20: its old address takes no connection any more, and the name says another one."""
    async with RawProvider(answer_with(OK)) as provider:
        ports = [closed_port, provider.port]
        resolver = Resolver(lambda *_: [loopback(ports.pop(0))], doubted_ttl_s=0.0)
        target = make_target(1, host="moved.example")

        await fail_to_open(target, resolver)
        connection = await open_connection(target, resolver, make_connection)
        connection.abort()
        resolver.close()

    assert ports == []


def loopback(port: int) -> AddressInfo:
    """What the system says of a port on loopback."""
    return (int(socket.AF_INET), int(socket.SOCK_STREAM), 6, "", ("127.0.0.1", port))


async def test_a_private_address_is_never_connected_to(make_target: MakeTarget) -> None:
    """Not even for a moment: the check comes before the socket."""
    async with RawProvider(answer_with(OK)) as provider:
        resolver = Resolver(lambda *_: [loopback(provider.port)])
        target = make_target(provider.port, host="public.example", allow_private=False)

        error = await fail_to_open(target, resolver)
        resolver.close()

        assert type(error) is UpstreamAddressError
        assert provider.connections == 0


async def test_a_name_server_that_does_not_answer(make_target: MakeTarget) -> None:
    """The look-up counts against `connect_s` (fault F03)."""
    go_on = asyncio.Event()
    loop = asyncio.get_running_loop()
    resolver = Resolver(
        lambda *_: asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result() and []
    )

    error = await fail_to_open(make_target(1, host="slow.example", connect_s=SHORT_S), resolver)
    go_on.set()
    resolver.close()

    assert type(error) is UpstreamDnsError
    assert (error.status, error.is_retryable) == (502, True)


def context_for(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's context with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_an_own_authority_is_accepted(
    make_target: MakeTarget, resolver: Resolver, authority: trustme.CA, ca_file: Path
) -> None:
    """`tls.ca_file` is how a company's own model server is reached."""
    server = context_for(authority, "127.0.0.1")
    async with RawProvider(answer_with(OK), server) as provider, no_socket_is_left():
        target = make_target(provider.port, tls=open_tls_context(ca_file))
        connection = await open_connection(target, resolver, make_connection)
        recorder = Recorder()
        connection.send(REQUEST, recorder)
        await recorder.wait()
        connection.abort()
        for _ in range(20):
            await asyncio.sleep(0)

    assert recorder.body == b"ok"


async def test_the_name_on_the_certificate_may_be_named(
    make_target: MakeTarget, resolver: Resolver, authority: trustme.CA, ca_file: Path
) -> None:
    """`tls.server_name` is for an address that is not what the certificate says."""
    async with RawProvider(answer_with(OK), context_for(authority, "llm.example")) as provider:
        target = make_target(
            provider.port, tls=open_tls_context(ca_file), server_name="llm.example"
        )
        connection = await open_connection(target, resolver, make_connection)
        assert connection.is_open
        connection.abort()


async def test_a_name_may_end_in_a_dot(
    make_target: MakeTarget, authority: trustme.CA, ca_file: Path
) -> None:
    """In Kubernetes it saves five look-ups for each one; the certificate knows nothing of it."""
    async with RawProvider(answer_with(OK), context_for(authority, "llm.example")) as provider:
        resolver = Resolver(lambda *_: [loopback(provider.port)])
        target = make_target(provider.port, tls=open_tls_context(ca_file), host="llm.example.")
        connection = await open_connection(target, resolver, make_connection)
        assert connection.is_open
        connection.abort()


@pytest.mark.parametrize(
    ("name", "is_known"), [("127.0.0.1", False), ("other.example", True), ("127.0.0.2", True)]
)
async def test_a_certificate_that_proves_nothing_is_refused(
    make_target: MakeTarget,
    resolver: Resolver,
    authority: trustme.CA,
    ca_file: Path,
    name: str,
    *,
    is_known: bool,
) -> None:
    """Self-signed, or somebody else's: the credential would go to whoever answers."""
    heard: list[bytes] = []

    async def serve(reader, _) -> None:
        heard.append(await reader.read(1))

    async with RawProvider(serve, context_for(authority, name)) as provider:
        context = open_tls_context(ca_file if is_known else None)
        error = await fail_to_open(make_target(provider.port, tls=context), resolver)

    assert type(error) is UpstreamTlsError
    assert "certificate is not accepted (" in error.public
    assert "127.0.0.1" not in error.public
    assert (error.status, error.is_retryable) == (502, False)
    assert b"".join(heard) == b""


async def test_a_handshake_that_stalls(
    make_target: MakeTarget, resolver: Resolver, ca_file: Path
) -> None:
    """Its deadline is its own: the connection itself was quick."""

    async def serve(reader, _) -> None:
        while await reader.read(1000):
            pass

    async with RawProvider(serve) as provider:
        target = make_target(provider.port, tls=open_tls_context(ca_file), tls_s=SHORT_S)
        error = await fail_to_open_at(provider, target, resolver)

    assert type(error) is UpstreamTlsError
    assert "took too long" in error.public
    assert error.is_retryable


async def fail_to_open_at(
    provider: RawProvider, target: Target, resolver: Resolver
) -> UpstreamError:
    """The same, where the provider's own end is open until it hears the close."""
    with pytest.raises(UpstreamError) as caught:
        await open_connection(target, resolver, make_connection)
    await provider.wait_until_left()
    return caught.value


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_handshake_that_is_broken_off(
    make_target: MakeTarget, resolver: Resolver, ca_file: Path, says: bytes
) -> None:
    """A proxy in trouble closes; a plain HTTP port answers in plain text."""

    async def serve(reader, writer) -> None:
        await reader.read(1000)
        writer.write(says)
        await hang_up(writer)

    async with RawProvider(serve) as provider:
        target = make_target(provider.port, tls=open_tls_context(ca_file))
        error = await fail_to_open(target, resolver)

    assert type(error) is UpstreamTlsError
    assert "handshake failed" in error.public
    assert error.is_retryable


async def test_a_caller_who_leaves_during_the_handshake_leaves_no_socket(
    make_target: MakeTarget, resolver: Resolver, ca_file: Path
) -> None:
    """A cancelled handshake must close what the connect had opened."""

    async def serve(reader, _) -> None:
        while await reader.read(1000):
            pass

    async with RawProvider(serve) as provider:
        target = make_target(provider.port, tls=open_tls_context(ca_file))
        opening = asyncio.ensure_future(open_connection(target, resolver, make_connection))
        await provider.wait_until_connected()
        opening.cancel()
        await asyncio.wait([opening])
        await provider.wait_until_left()

    assert opening.cancelled()
