"""How the breaker of a provider stands.

The rule here: words for whoever shows it; what opens and closes one is decided elsewhere.
"""

import enum

import msgspec


class BreakerState(enum.StrEnum):
    """Whether a provider is asked; a closed list."""

    CLOSED = "closed"  # it is
    OPEN = "open"  # it is not, because it failed too often
    HALF_OPEN = "half_open"  # a few requests find out whether it has recovered


class BreakerStanding(msgspec.Struct, frozen=True):
    """The breaker of one provider just now."""

    provider: str
    state: BreakerState
