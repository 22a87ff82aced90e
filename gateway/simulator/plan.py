"""A plan: every byte of one answer, decided before the first of them is sent.

The rule here: a plan holds no state, so that one plan can be played to many peers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Beat(NamedTuple):
    """A piece of body with its place in time; `kind` tells which event it is."""

    payload: bytes
    tokens: int = 0
    delay_s: float = 0.0
    kind: str = "body"


class Write(NamedTuple):
    """One write to the socket: what goes on the wire, and the body and tokens in it."""

    wire: bytes
    body: bytes = b""
    tokens: int = 0
    delay_s: float = 0.0


class Ending(Enum):
    """What happens to the connection after the last write."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes of one answer and how it ends."""

    status: int
    writes: tuple[Write, ...]
    ending: Ending
    is_cut: bool = False
    hold_wire: bytes = b""
    hold_every_s: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether the answer is a complete message once all is written."""
        return not self.is_cut and self.ending is not Ending.HOLD
