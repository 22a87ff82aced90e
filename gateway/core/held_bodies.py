"""The request bodies that all requests hold in memory together, and how much they may.

The rule here: a body counts from its first byte until nobody may need it again.
"""

from gateway.core.errors import OverloadedError

RETRY_AFTER_S = "1"


class HeldBodies:
    """The sum over all requests."""

    def __init__(self, max_bytes: int) -> None:
        self.held_bytes = 0
        self._max_bytes = max_bytes

    def check_room(self, body_bytes: int) -> None:
        """Raise when a body of this size would be too much on top of the others."""
        if self.held_bytes + body_bytes > self._max_bytes:
            raise OverloadedError(
                "The gateway holds as many request bodies as it can; try again in a moment.",
                headers={"Retry-After": RETRY_AFTER_S},
            )


class HeldBody:
    """What one request has of it."""

    __slots__ = ("_all", "held_bytes")

    def __init__(self, held_bodies: HeldBodies) -> None:
        self.held_bytes = 0
        self._all = held_bodies

    def check_room(self, body_bytes: int) -> None:
        """Raise when so much more is too much."""
        self._all.check_room(body_bytes)

    def add(self, body_bytes: int) -> None:
        """So much more is held."""
        self.held_bytes += body_bytes
        self._all.held_bytes += body_bytes

    def let_go(self) -> None:
        """None of it is needed any more; may be called again."""
        self._all.held_bytes -= self.held_bytes
        self.held_bytes = 0
