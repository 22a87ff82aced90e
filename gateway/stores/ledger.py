"""The ledger's records of an exchange, and the protocol of their store.

The rule here: money and tokens are whole numbers; None means "unknown" and never 0. These records
contain nothing of a prompt, an answer, a key or a credential.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from gateway.core.exchange import Outcome
from gateway.core.usage import UsageSource

# What usage can be grouped by; `day` is in UTC.
DIMENSIONS = ("principal", "tenant", "provider", "model", "credential", "outcome", "day")


class LedgerAttempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One try at one provider.

    Times are from the wall clock, in milliseconds since 1970; money is in micros, millionths of a
    US dollar. New fields go to the end, because newer gateways read old journals.
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
    tokens_cached: int | None = None  # part of tokens_in
    tokens_reasoning: int | None = None  # part of tokens_out
    tokens_source: UsageSource | None = None
    cost_micros: int | None = None  # at our price; None without one
    price_version: str | None = None
    provider_cost_micros: int | None = None  # what the provider says that it charges


class LedgerExchange(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="end"):
    """One exchange; usage is recorded with the attempts.

    For times and new fields the same holds as for attempts.
    """

    id: str  # our own, as callers may use a request id twice
    request_id: str
    principal: str
    principal_kind: str
    tenant: str
    dialect: str
    provider: str  # that was asked for
    model: str
    started_at_ms: int
    duration_ms: int  # from the monotonic clock
    outcome: Outcome
    stream: bool = False
    status: int = 0  # the caller's
    error_code: str = ""
    first_content_ms: int | None = None  # after the start
    bytes_in: int = 0
    bytes_out: int = 0
    attempts: tuple[LedgerAttempt, ...] = ()


class UsageQuery(msgspec.Struct, frozen=True):
    """Which exchanges to add up and how to group them; times are Unix milliseconds."""

    by: tuple[str, ...]  # from DIMENSIONS; empty: one sum of everything
    since_ms: int | None = None  # compared with the exchange's start
    until_ms: int | None = None  # exclusive


class UsageRow(msgspec.Struct, frozen=True):
    """One sum."""

    of: tuple[str, ...]  # a value for each item of `by`; a day is `2026-11-28`
    requests: int
    attempts: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    tokens_reasoning: int
    cost_micros: int
    provider_cost_micros: int
    estimated: int  # attempts whose tokens the provider did not count
    unpriced: int  # attempts with tokens but no price, whose cost is missing from the sum


class Spent(msgspec.Struct, frozen=True):
    """What one caller has used of one model, as limits count it."""

    principal: str
    principal_kind: str
    tenant: str
    provider: str  # that was asked for
    model: str
    tokens: int
    micros: int  # what the provider says it charges, or else the cost at our price


class LedgerStore(Protocol):
    """Where settled exchanges are stored.

    Every method raises StoreDownError if the store does not answer; it may be called again.
    """

    async def save(self, exchanges: Sequence[LedgerExchange]) -> None:
        """Save all of them or none; one that is already stored is left alone.

        When this returns, they are committed. RowRefusedError means that the store works but will
        never accept one of these rows.
        """

    async def fetch_usage(self, query: UsageQuery) -> list[UsageRow]:
        """The sums, ordered by what they are grouped by."""

    async def fetch_spent(self, since_ms: int, until_ms: int) -> list[Spent]:
        """What exchanges that began in that time have used, for each caller and model."""

    async def close(self) -> None:
        """Close every connection; called once, at the end."""
