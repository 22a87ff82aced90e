"""What the kernel knows of a caller; `put_off_by_reading` is tested where it is used."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.relay.stalls import unacknowledged_bytes

SENT = b"x" * 1_000_000


@pytest.fixture
async def ends() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """Our transport to a caller, and the caller's end with little room."""
    listening = socket.create_server(("127.0.0.1", 0))
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    caller.setblocking(False)  # noqa: FBT003 - the standard library's own
    loop = asyncio.get_running_loop()
    await loop.sock_connect(caller, listening.getsockname())
    ours, _ = listening.accept()
    listening.close()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    transport.write(SENT)
    yield transport, caller
    transport.abort()
    caller.close()


async def test_what_the_caller_has_not_taken_is_known(
    ends: tuple[asyncio.Transport, socket.socket],
) -> None:
    """Our own buffer and the kernel's."""
    transport, caller = ends
    peer = transport.get_extra_info("socket")
    before = unacknowledged_bytes(transport, peer)

    got = await asyncio.get_running_loop().sock_recv(caller, 1)

    assert got == b"x"
    assert 0 < unacknowledged_bytes(transport, peer) <= before < len(SENT)
