"""Listening sockets, tuned for many streams to callers who may not read them.

The rule here: options set on a listening socket apply to every connection that it accepts.
"""

import asyncio
import errno
import socket
import sys
from collections.abc import Iterable
from typing import Any

# The default of 128 overflows if a front end restarts and all its callers come back at once.
BACKLOG = 4_096
# The kernel doubles it. By default it grows to 4 MiB and more for each caller that does not read
# (measured), and only memory limits the number of such callers.
SEND_BUFFER_BYTES = 64 * 1024
# A caller's machine counts as gone if it acknowledges nothing for this long.
UNACKNOWLEDGED_MS = 60_000
KEEP_ALIVE_IDLE_S = 30
KEEP_ALIVE_INTERVAL_S = 10
KEEP_ALIVE_PROBES = 3

# On other systems SO_REUSEPORT gives all callers to one of the sockets.
SPREADS = sys.platform == "linux"

# Not every system has all of them.
_TCP_OPTIONS = (
    ("TCP_NODELAY", 1),
    ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
    ("TCP_KEEPIDLE", KEEP_ALIVE_IDLE_S),
    ("TCP_KEEPINTVL", KEEP_ALIVE_INTERVAL_S),
    ("TCP_KEEPCNT", KEEP_ALIVE_PROBES),
)

REASONS = {  # why a socket cannot listen, and what helps
    errno.EADDRINUSE: "another program listens there; stop it or take another port",
    errno.EACCES: "ports below 1024 are for root; take another port",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
}


# The local address of a listener on all addresses.
LOCAL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared, not bound

# What getaddrinfo gives: family, kind, protocol, canonical name, address.
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


class ListenError(OSError):
    """An address and port that cannot be listened on, with the reason."""


async def open_sockets(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Sockets bound to every address of a host, all on the same port; port 0 takes a free one.

    If shared, other processes of this user may bind to the same port.
    ListenError if one of them cannot be bound.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise ListenError(f"{host}:{port}: no such host") from None
    sockets: list[socket.socket] = []
    try:
        for family, address in _in_order(found):
            if sockets:  # use the port that the first one got
                port = sockets[0].getsockname()[1]
            sockets.append(_bind(family, (address, port), shared=shared))
    except OSError as error:
        close_sockets(sockets)
        reason = REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
        raise ListenError(f"{host}:{port}: {reason}") from error
    return sockets


async def open_shared_sockets(host: str, port: int, workers: int) -> list[list[socket.socket]]:
    """Sockets for each worker on one port; ListenError if another program has it.

    On Linux each worker has its own, and the kernel spreads callers among them. With a shared one,
    the first worker to wake takes a whole burst: of 400 callers four workers got 196, 101, 60 and
    43, and with their own sockets 112, 108, 93 and 87.
    """
    first = await open_sockets(host, port)  # not shared, so that a port in use is noticed
    if not SPREADS:
        return [first for _ in range(workers)]
    port = first[0].getsockname()[1]
    close_sockets(first)
    return [await open_sockets(host, port, shared=True) for _ in range(workers)]


def url_of(listening: socket.socket) -> str:
    """The URL of a listening socket; `0.0.0.0` or `[::]` if it listens on all addresses."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def local_url(url: str) -> str:
    """The URL by which callers on this machine reach that listener."""
    for everywhere, here in LOCAL_ADDRESSES.items():
        if url.startswith(f"http://{everywhere}:"):
            return url.replace(everywhere, here, 1)
    return url


def _in_order(found: Iterable[AddressInfo]) -> list[tuple[int, str]]:
    """Each address once, IPv4 first: `localhost` is both, and most clients try IPv4."""
    unique = dict.fromkeys((int(family), str(address[0])) for family, _, _, _, address in found)
    return sorted(unique, key=lambda pair: pair[0] != socket.AF_INET)


def _bind(family: int, address: tuple[str, int], *, shared: bool) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tune(listening)
        listening.bind(address)
        listening.listen(BACKLOG)  # here, so that a port in use is found before anything starts
    except OSError:
        listening.close()
        raise
    return listening


def tune(listening: socket.socket) -> None:
    """Set the options that every accepted connection should have."""
    listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if listening.family == socket.AF_UNIX:
        return
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            listening.setsockopt(socket.IPPROTO_TCP, option, value)


def copy_of(listening: socket.socket) -> socket.socket:
    """Another descriptor of a listening socket.

    `dup` copies the timeout that Python assumes for the original, by setting a flag that all
    descriptors share. For a socket from another process Python assumes that it blocks. A worker
    that accepts while the flag says so stops until the next caller comes, so set it first.
    """
    listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listening.dup()


def close_sockets(sockets: Iterable[socket.socket]) -> None:
    """Close this process's descriptors of listening sockets."""
    for listening in sockets:
        listening.close()
