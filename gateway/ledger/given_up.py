"""Logging exchanges that could not be booked anywhere.

The rule here: each gets a line with what it used, because no other record of it remains. One more
line has the sums, for readers who look at nothing else.
"""

from collections.abc import Iterable, Sequence

import structlog

from gateway.stores.ledger import LedgerExchange

_log = structlog.get_logger()


def report_given_up(rows: Sequence[LedgerExchange], *, lost: int) -> None:
    """Log the exchanges that could not be saved; `lost` of them will be booked as lost."""
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
    """What the provider says it charges, or else the cost at our prices."""
    return _add_up(
        one.cost_micros if one.provider_cost_micros is None else one.provider_cost_micros
        for row in rows
        for one in row.attempts
    )
