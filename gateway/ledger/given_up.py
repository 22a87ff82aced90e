"""Exchanges that are in no book, said on the log.

The rule here: each has a line with what it used, because there is no other place left for it; and
one line more has their sums, for whoever looks at nothing else.
"""

from collections.abc import Iterable, Sequence

import structlog

from gateway.stores.ledger import LedgerExchange

_log = structlog.get_logger()


def report_given_up(rows: Sequence[LedgerExchange], *, lost: int) -> None:
    """Say which exchanges nothing has taken; so many of them will be booked as lost."""
    for row in rows:
        _log.error(
            "ledger.row_given_up",
            id=row.id,
            request_id=row.request_id,
            principal=row.principal,
            provider=row.provider,
            model=row.model,
            outcome=row.outcome,
            tokens_in=_add_up(one.tokens_in for one in row.attempts),
            tokens_out=_add_up(one.tokens_out for one in row.attempts),
            cost_micros=_cost_of([row]),
        )
    attempts = [one for row in rows for one in row.attempts]
    _log.error(
        "ledger.given_up",
        count=len(rows),
        lost=lost,
        tokens_in=_add_up(one.tokens_in for one in attempts),
        tokens_out=_add_up(one.tokens_out for one in attempts),
        cost_micros=_cost_of(rows),
    )


def _add_up(numbers: Iterable[int | None]) -> int:
    return sum(number or 0 for number in numbers)


def _cost_of(rows: Iterable[LedgerExchange]) -> int:
    """What the provider says that it charges, or else our price."""
    return _add_up(
        one.cost_micros if one.provider_cost_micros is None else one.provider_cost_micros
        for row in rows
        for one in row.attempts
    )
