"""A moment as people write it: how long ago it was, or its date.

Rule: a time without a zone is in UTC, like everything that the gateway writes.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from gateway.core.durations import parse_duration

AGO_OR_DATE: Final = "needs to be 7d, 12h or the like, or a date such as 2026-11-01"

_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9:]+)?)?"
)


def parse_moment(text: str, now: float) -> float:
    """The Unix time of `7d` (before `now`), `2026-11-01` or `2026-11-01T12:00`.

    ValueError for anything else, including a day that does not exist.
    """
    with suppress(ValueError):
        return now - parse_duration(text)
    return parse_date(text)


def parse_date(text: str) -> float:
    """The Unix time of `2026-11-01` or `2026-11-01T12:00+01:00`; ValueError for anything else."""
    if _DATE.fullmatch(text) is None:
        raise ValueError(AGO_OR_DATE)
    try:
        moment = datetime.fromisoformat(text)
        # In UTC it may fall into the year 0 or 10000, which cannot be shown.
        return (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(AGO_OR_DATE) from None
