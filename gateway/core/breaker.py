"""Whether requests are currently sent to a provider.

The rule here: a state belongs to one process. Another one may have seen fewer failures, or more.
"""

import enum

import msgspec


class BreakerState(enum.StrEnum):
    """What happens to requests for a provider; a closed list, the worst state last."""

    CLOSED = "closed"  # all are sent
    HALF_OPEN = "half_open"  # a few are sent, to see whether it works again
    OPEN = "open"  # none is sent: nearly all of the last ones failed


class BreakerStanding(msgspec.Struct, frozen=True):
    """The state of one provider: the worst of its own and those of its models."""

    provider: str
    state: BreakerState
