"""What is booked of an exchange, and the protocol of what keeps it.

The rule here: money and tokens are whole numbers, None is "nobody knows" and never 0. Nothing of a
prompt, an answer, a key or a credential is in these records.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from gateway.core.exchange import Outcome
from gateway.core.usage import UsageSource

# What usage can be added up by; `day` is one of UTC.
DIMENSIONS = ("principal", "tenant", "provider", "model", "credential", "outcome", "day")


class LedgerAttempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One try at one provider.

    Times are of the wall clock, in milliseconds since 1970; money is in micros, millionths of a US
    dollar. New fields go to the end: journals are read by newer gateways.
    """

    number: int  # 1 is the first
    provider: str
    model: str
    credential_id: str
    started_at_ms: int
    duration_ms: int
    outcome: Outcome
    status: int = 0  # the provider's; 0: it sent none
    error_code: str = ""
    upstream_request_id: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None  # of those in
    tokens_reasoning: int | None = None  # of those out
    tokens_source: UsageSource | None = None
    cost_micros: int | None = None  # at our price; None without one
    price_version: str | None = None
    provider_cost_micros: int | None = None  # what the provider says that it charges


class LedgerExchange(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="end"):
    """One exchange; what it used stands with the attempts that used it.

    Times are as those of attempts, and so is the place of new fields.
    """

    id: str  # our own: a caller's may come twice
    request_id: str
    principal: str
    principal_kind: str
    tenant: str
    dialect: str
    provider: str  # that was asked for
    model: str
    started_at_ms: int
    duration_ms: int  # of a clock that only goes forward
    outcome: Outcome
    stream: bool = False
    status: int = 0  # the caller's
    error_code: str = ""
    first_content_ms: int | None = None  # after the start
    bytes_in: int = 0
    bytes_out: int = 0
    attempts: tuple[LedgerAttempt, ...] = ()


class UsageQuery(msgspec.Struct, frozen=True):
    """Which exchanges are added up, and what is told apart; times are Unix milliseconds."""

    by: tuple[str, ...]  # of DIMENSIONS; empty: one sum of everything
    since_ms: int | None = None  # of their start
    until_ms: int | None = None  # that moment is outside


class UsageRow(msgspec.Struct, frozen=True):
    """One sum."""

    of: tuple[str, ...]  # a value for each word of `by`; a day is `2026-11-28`
    requests: int
    attempts: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    tokens_reasoning: int
    cost_micros: int
    provider_cost_micros: int
    estimated: int  # attempts whose tokens the provider did not count
    unpriced: int  # attempts with tokens and without a price: their cost is not in the sum


class Spent(msgspec.Struct, frozen=True):
    """What one caller used of one model, as limits count it."""

    principal: str
    principal_kind: str
    tenant: str
    provider: str  # that was asked for
    model: str
    tokens: int
    micros: int  # what the provider says that it charges, or else our price


class LedgerStore(Protocol):
    """Where settled exchanges end up.

    Every method raises StoreDownError when the store does not answer; it may be called again.
    """

    async def save(self, exchanges: Sequence[LedgerExchange]) -> None:
        """Keep them, all or none; one that is there already stays as it is.

        When this returns they are committed. RowRefusedError says that the store is well and will
        never take one of these rows.
        """

    async def fetch_usage(self, query: UsageQuery) -> list[UsageRow]:
        """The sums, in the order of what they are of."""

    async def fetch_spent(self, since_ms: int, until_ms: int) -> list[Spent]:
        """What was used by exchanges that began in that time, for each caller and model."""

    async def close(self) -> None:
        """Let go of every connection; called once, last."""
