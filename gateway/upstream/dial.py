"""Opening one connection: name, address, socket and TLS, each with its deadline.

The rule here: foreign exceptions are translated here; only an UpstreamError that names the
provider leaves.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import aiohappyeyeballs

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamDnsError,
    UpstreamTlsError,
)
from gateway.upstream.resolver import OF_THIS_MACHINE, AddressInfo, Resolver
from gateway.upstream.tls_transport import start_tls

# RFC 8305 section 5.
HAPPY_EYEBALLS_DELAY_S = 0.25
# Limits how much the kernel buffers for a slow reader's stream (some MiB without it).
RECEIVE_BUFFER_BYTES = 256 * 1024
ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to reach a provider, and how long opening a connection may take."""

    label: str
    host: str
    port: int
    allow_private: bool
    connect_s: float
    tls_s: float
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


async def open_connection(
    target: Target, resolver: Resolver, factory: Callable[[], ProtocolT]
) -> ProtocolT:
    """A connected protocol, or an UpstreamError that says which step failed."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + target.connect_s
    addresses = await _resolve(target, resolver, give_up_at)
    try:
        connected = await _connect(target, addresses, give_up_at)
    except UpstreamError:
        resolver.doubt(target.host, target.port)
        raise
    if target.tls is None:
        _, protocol = await loop.create_connection(factory, sock=connected)
        return protocol
    return await _start_tls(target, target.tls, connected, factory())


async def _resolve(target: Target, resolver: Resolver, give_up_at: float) -> list[AddressInfo]:
    try:
        async with asyncio.timeout_at(give_up_at):
            return await resolver.resolve(
                target.host,
                target.port,
                label=target.label,
                allow_private=target.allow_private,
            )
    except TimeoutError as error:
        raise UpstreamDnsError(
            f"The name of {target.label} was not resolved within {target.connect_s:g} s."
        ) from error


async def _connect(
    target: Target, addresses: list[AddressInfo], give_up_at: float
) -> socket.socket:
    try:
        async with asyncio.timeout_at(give_up_at):
            return await aiohappyeyeballs.start_connection(
                addresses,
                happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S,
                interleave=1,
                socket_factory=_open_socket,
            )
    except TimeoutError as error:
        raise UpstreamConnectTimeoutError(
            f"No connection to {target.label} within {target.connect_s:g} s."
        ) from error
    except OSError as error:
        failure = UpstreamConnectError(
            f"{target.label} cannot be reached.", detail=f"{type(error).__name__}: {error}"
        )
        failure.is_ours = error.errno in OF_THIS_MACHINE
        raise failure from error


def _open_socket(info: AddressInfo) -> socket.socket:
    opened = socket.socket(info[0], info[1], info[2])
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


async def _start_tls(
    target: Target, context: ssl.SSLContext, connected: socket.socket, protocol: ProtocolT
) -> ProtocolT:
    # The trailing dot of a fully qualified name is for resolvers only; certificates never have it
    # (RFC 6066, 3).
    server_name = target.server_name or target.host.removesuffix(".")
    try:
        async with asyncio.timeout(target.tls_s):
            return await start_tls(protocol, context, sock=connected, server_name=server_name)
    except (TimeoutError, OSError) as error:
        failure = UpstreamTlsError(
            f"No TLS connection to {target.label}: {_tls_cause(error)}.",
            detail=f"{type(error).__name__}: {error}",
        )
        # A handshake that was cut or stalled is an ordinary connection failure, worth a retry.
        failure.is_retryable = not isinstance(error, ssl.SSLCertVerificationError)
        raise failure from error


def _tls_cause(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        # After the comma OpenSSL names the host, which may be an internal name.
        reason = error.verify_message.partition(",")[0]
        return f"its certificate is not accepted ({reason})"
    if isinstance(error, TimeoutError):
        return "the handshake took too long"
    return "the handshake failed"
