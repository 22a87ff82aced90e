"""Whether requests are sent to a provider just now.

The rule here: a state is that of one process. Another one may have seen less, or more.
"""

import enum

import msgspec


class BreakerState(enum.StrEnum):
    """What is done with requests for a provider; a closed list, the gravest last."""

    CLOSED = "closed"  # all are sent
    HALF_OPEN = "half_open"  # a few are sent, to see whether it works again
    OPEN = "open"  # none is sent: nearly all of the last ones failed


class BreakerStanding(msgspec.Struct, frozen=True):
    """How it stands with one provider: the gravest of its own state and those of its models."""

    provider: str
    state: BreakerState
