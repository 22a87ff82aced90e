"""How much memory the request bodies of all requests take, and the limit for it.

The rule here: a body counts from its first byte until none of it is needed any more.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from gateway.core.errors import OverloadedError
from gateway.core.retry_after import come_back

# Larger bodies are parsed in a thread: 1 MiB takes 3 ms, which would block everybody else.
MAX_INLINE_BYTES = 256 * 1024

ParsedT = TypeVar("ParsedT")


class HeldBodies:
    """The total over all requests."""

    def __init__(self, max_bytes: int) -> None:
        self.held_bytes = 0
        self._parsing = asyncio.Lock()  # parsing a large one takes three times its size
        self._max_bytes = max_bytes

    def check_room(self, body_bytes: int) -> None:
        """Raise if a body of this size would be too much on top of the others."""
        if self.held_bytes + body_bytes > self._max_bytes:
            raise OverloadedError(
                "The gateway holds as many request bodies as it can; try again in a moment.",
                headers=come_back(),
            )

    async def parse(self, read: Callable[[bytes], ParsedT], body: bytes) -> ParsedT:
        """Run `read` on a body or part of one; large ones one at a time, in a thread."""
        if len(body) <= MAX_INLINE_BYTES:
            return read(body)
        async with self._parsing:
            return await asyncio.to_thread(read, body)


class HeldBody:
    """One request's part of the total."""

    __slots__ = ("bodies", "held_bytes")

    def __init__(self, bodies: HeldBodies) -> None:
        self.held_bytes = 0
        self.bodies = bodies

    def keep(self, piece_bytes: int) -> None:
        """Count a piece, or raise if it is too much."""
        self.bodies.check_room(piece_bytes)
        self.held_bytes += piece_bytes
        self.bodies.held_bytes += piece_bytes

    def let_go(self) -> None:
        """Stop counting it, as none of it is needed any more; a second call does nothing."""
        self.bodies.held_bytes -= self.held_bytes
        self.held_bytes = 0
