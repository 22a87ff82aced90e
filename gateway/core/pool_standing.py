"""The numbers of connections to a provider, by state.

The rule here: each connection is counted once, in its current state.
"""

import msgspec


class PoolStanding(msgspec.Struct, frozen=True):
    """The current connections to one provider."""

    provider: str
    busy: int  # serving a request
    idle: int
    dialing: int  # being opened for a waiting request
    limit: int  # the most busy and dialing ones together

    @property
    def in_flight(self) -> int:
        """How many requests the provider has not finished answering."""
        return self.busy + self.dialing

    def plus(self, other: "PoolStanding") -> "PoolStanding":
        """The sum for two addresses of one provider."""
        return PoolStanding(
            self.provider,
            self.busy + other.busy,
            self.idle + other.idle,
            self.dialing + other.dialing,
            self.limit + other.limit,
        )
