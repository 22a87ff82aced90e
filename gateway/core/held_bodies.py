"""The request bodies that all requests hold in memory together, and how much they may.

The rule here: a body counts from its first byte until nothing of it is needed any more.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from gateway.core.errors import OverloadedError
from gateway.core.retry_after import come_back

# A larger body is parsed in a thread: 1 MiB takes 3 ms, in which nobody else is served.
MAX_INLINE_BYTES = 256 * 1024

ParsedT = TypeVar("ParsedT")


class HeldBodies:
    """The sum over all requests."""

    def __init__(self, max_bytes: int) -> None:
        self.held_bytes = 0
        self._parsing = asyncio.Lock()  # parsing a large one takes three times its size
        self._max_bytes = max_bytes

    def check_room(self, body_bytes: int) -> None:
        """Raise when a body of this size would be too much on top of the others."""
        if self.held_bytes + body_bytes > self._max_bytes:
            raise OverloadedError(
                "The gateway holds as many request bodies as it can; try again in a moment.",
                headers=come_back(),
            )

    async def parse(self, read: Callable[[bytes], ParsedT], body: bytes) -> ParsedT:
        """What `read` makes of a body, or of a part of one; of large ones one at a time."""
        if len(body) <= MAX_INLINE_BYTES:
            return read(body)
        async with self._parsing:
            return await asyncio.to_thread(read, body)


class HeldBody:
    """What one request has of it."""

    __slots__ = ("bodies", "held_bytes")

    def __init__(self, bodies: HeldBodies) -> None:
        self.held_bytes = 0
        self.bodies = bodies

    def keep(self, piece_bytes: int) -> None:
        """Count a piece, or raise when it is too much."""
        self.bodies.check_room(piece_bytes)
        self.held_bytes += piece_bytes
        self.bodies.held_bytes += piece_bytes

    def let_go(self) -> None:
        """None of it is needed any more; said again it does nothing."""
        self.bodies.held_bytes -= self.held_bytes
        self.held_bytes = 0
