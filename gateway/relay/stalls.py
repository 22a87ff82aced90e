"""Whether a caller still reads, as far as the kernel knows.

The rule here: a caller that takes any bytes has not stalled, however slow the line.
"""

import asyncio
import contextlib
import fcntl
import socket
import sys
import termios
from collections.abc import Iterator

# How often we look during a stall: there is no event for "the caller took something".
LOOKS_PER_STALL = 4


@contextlib.contextmanager
def put_off_by_reading(
    deadline: asyncio.Timeout, transport: asyncio.Transport, stall_s: float
) -> Iterator[None]:
    """Restart the deadline of `stall_s` whenever the caller has taken something.

    One read from a fast provider is up to 256 KiB. On a line of 64 kbit/s that takes longer than
    the allowed stall, although the caller reads all the time.
    """
    loop = asyncio.get_running_loop()
    peer = transport.get_extra_info("socket")
    left_bytes = unacknowledged_bytes(transport, peer)
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal left_bytes, timer
        before_bytes, left_bytes = left_bytes, unacknowledged_bytes(transport, peer)
        if left_bytes < before_bytes and not deadline.expired():
            deadline.reschedule(loop.time() + stall_s)
        timer = loop.call_later(stall_s / LOOKS_PER_STALL, look)

    timer = loop.call_later(stall_s / LOOKS_PER_STALL, look)
    try:
        yield
    finally:
        timer.cancel()


def unacknowledged_bytes(transport: asyncio.Transport, peer: socket.socket | None) -> int:
    """How many written bytes the caller's machine has not acknowledged yet."""
    if transport.is_closing():
        return 0
    waiting = transport.get_write_buffer_size()
    if peer is None:
        return waiting
    in_kernel = fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return waiting + int.from_bytes(in_kernel, sys.byteorder)
