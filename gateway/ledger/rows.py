"""From an exchange to its ledger rows.

The rule here: the wall clock is read once, before the first attempt, and durations come from the
monotonic clock. So setting the clock back never makes an exchange end before it began.
"""

import msgspec

from gateway.core.attempts import AttemptRecord
from gateway.core.cost import price_usage
from gateway.core.durations import MS_PER_S
from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import ANONYMOUS
from gateway.core.usage import Usage
from gateway.ledger.records import Begin, End
from gateway.stores.ledger import LedgerAttempt


class Started(msgspec.Struct, frozen=True, gc=False):
    """The key and the start time of an exchange that has been booked."""

    key: str
    at_ms: int  # by the wall clock
    at: float  # by the monotonic clock


def begin_of(exchange: Exchange, started: Started, attempt: AttemptRecord) -> Begin:
    """The record of an exchange whose next attempt is about to begin."""
    principal = exchange.principal or ANONYMOUS
    cost, price = None, exchange.price
    if price is not None:
        cost = price_usage(Usage(exchange.prompt_tokens, None, "estimate"), price)
    begin = Begin(
        started.key,
        exchange.request_id,
        principal.name,
        principal.kind,
        principal.tenant,
        exchange.dialect,
        exchange.provider,
        exchange.model,
        attempt.provider,
        attempt.model,
        attempt.credential_id,
        exchange.stream,
        exchange.bytes_in,
        started.at_ms,
        started.at_ms + int((attempt.started_at - started.at) * MS_PER_S),
        exchange.prompt_tokens,
        None if cost is None else cost.micros,
        None if cost is None else cost.price_version,
    )
    if attempt.number == 1:
        return begin
    failed = Outcome.UPSTREAM_FAILED
    before = [one for one in exchange.attempt_records if one.number < attempt.number]
    earlier = tuple([_attempt_of(one, started, failed) for one in before])
    return msgspec.structs.replace(begin, earlier=earlier)


def end_of(exchange: Exchange, started: Started) -> End:
    """The record of a settled exchange."""
    principal = exchange.principal or ANONYMOUS
    outcome = exchange.outcome or Outcome.POLICY_STOPPED
    first_content_at = exchange.first_content_at
    records = exchange.attempt_records
    if len(records) == 1:  # the usual case
        attempts: tuple[LedgerAttempt, ...] = (_attempt_of(records[0], started, outcome),)
    else:
        attempts = tuple([_attempt_of(one, started, outcome) for one in records])
    return End(
        started.key,
        exchange.request_id,
        principal.name,
        principal.kind,
        principal.tenant,
        exchange.dialect,
        exchange.provider,
        exchange.model,
        started.at_ms,
        int((exchange.ended_at - started.at) * MS_PER_S),
        outcome,
        exchange.stream,
        exchange.status,
        exchange.error_code,
        int((first_content_at - started.at) * MS_PER_S) if first_content_at else None,
        exchange.bytes_in,
        exchange.bytes_out,
        attempts,
    )


def _attempt_of(record: AttemptRecord, started: Started, outcome: Outcome) -> LedgerAttempt:
    if record.error_code:
        at_fault = Outcome.UPSTREAM_FAILED if record.is_providers_fault else Outcome.POLICY_STOPPED
        outcome = at_fault
    usage, cost = record.usage, record.cost
    started_at, ended_at = record.started_at, record.ended_at
    row = (
        record.number,
        record.provider,
        record.model,
        record.credential_id,
        started.at_ms + int((started_at - started.at) * MS_PER_S),
        int((ended_at - started_at) * MS_PER_S) if ended_at else 0,
        outcome,
        record.status,
        record.error_code,
        record.upstream_request_id,
    )
    if usage is None:
        return LedgerAttempt(*row)
    return LedgerAttempt(
        *row,
        usage.tokens_in,
        usage.tokens_out,
        usage.tokens_cached,
        usage.tokens_reasoning,
        usage.source,
        None if cost is None else cost.micros,
        None if cost is None else cost.price_version,
        usage.provider_cost_micros,
    )
