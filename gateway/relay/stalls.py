"""Whether a caller still reads, as far as the kernel knows.

The rule here: who takes anything has not stalled, however slow the line.
"""

import asyncio
import contextlib
import fcntl
import socket
import sys
import termios
from collections.abc import Iterator

# How exactly the end of a stall is known; there is no event for "the caller took something".
LOOKS_PER_STALL = 4


@contextlib.contextmanager
def put_off_by_reading(
    deadline: asyncio.Timeout, transport: asyncio.Transport, stall_s: float
) -> Iterator[None]:
    """Begin `stall_s` anew whenever the caller has taken something.

    One read from a fast provider is up to 256 KiB: on a line of 64 kbit/s that takes longer than
    anybody may stall, and who reads all the while has not stalled.
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
    """What has been written and the caller's machine has not taken yet."""
    if transport.is_closing():
        return 0
    waiting = transport.get_write_buffer_size()
    if peer is None:
        return waiting
    in_kernel = fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return waiting + int.from_bytes(in_kernel, sys.byteorder)
