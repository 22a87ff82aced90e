"""Resets that the event loop is not told of are found by looking."""

import asyncio
import socket
import struct

from gateway.upstream.reset_watch import ResetWatch

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Line:
    """A connected socket that nobody reads."""

    def __init__(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.near = socket.create_connection(listener.getsockname())
        self.far, _ = listener.accept()
        listener.close()
        self.is_held_back = False
        self.ended = asyncio.Event()

    @property
    def watched_socket(self) -> int | None:
        """As a connection has it."""
        return None if self.is_held_back else self.near.fileno()

    def end_as_reset(self) -> None:
        """Remember that it was called."""
        self.ended.set()

    def reset(self) -> None:
        """Reset it from the other side, with bytes that nobody has read."""
        self.far.send(b"half an answer")
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.far.close()

    def close(self) -> None:
        """Let go of both ends."""
        self.near.close()
        self.far.close()


async def test_a_reset_is_found_although_bytes_are_unread() -> None:
    """That is the very case in which the loop is never told."""
    broken, whole = Line(), Line()
    lines = {broken, whole}
    watch = ResetWatch(lines, every_s=0.01)
    watch.start()

    broken.reset()
    async with asyncio.timeout(5):
        await broken.ended.wait()

    assert not whole.ended.is_set()
    watch.stop()
    broken.close()
    whole.close()


async def test_what_is_held_back_is_left_alone() -> None:
    """Its unread bytes are still for the caller, who is slow."""
    held, probe = Line(), Line()
    held.is_held_back = True
    watch = ResetWatch({held, probe}, every_s=0.01)
    watch.start()

    held.reset()
    probe.reset()
    async with asyncio.timeout(5):
        await probe.ended.wait()

    assert not held.ended.is_set()
    watch.stop()
    held.close()
    probe.close()


async def test_looking_ends_with_the_last_connection() -> None:
    """A gateway without traffic does not wake."""
    lines: set[Line] = {Line()}
    watch = ResetWatch(lines, every_s=0.01)
    watch.start()

    lines.pop().close()
    async with asyncio.timeout(5):
        while watch.is_looking:  # noqa: ASYNC110 - a watch that ends tells nobody
            await asyncio.sleep(0)  # its own timer ends it

    assert not watch.is_looking
