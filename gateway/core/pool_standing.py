"""How the connections to a provider stand.

The rule here: each connection is counted once, in the state that it is in.
"""

import msgspec


class PoolStanding(msgspec.Struct, frozen=True):
    """The connections to one provider just now."""

    provider: str
    busy: int  # with a request
    idle: int
    dialing: int  # a request waits for it to be opened
    limit: int  # of busy and dialing ones together

    @property
    def in_flight(self) -> int:
        """Requests that the provider has not finished answering."""
        return self.busy + self.dialing

    def plus(self, other: "PoolStanding") -> "PoolStanding":
        """Of two addresses of one provider together."""
        return PoolStanding(
            self.provider,
            self.busy + other.busy,
            self.idle + other.idle,
            self.dialing + other.dialing,
            self.limit + other.limit,
        )
