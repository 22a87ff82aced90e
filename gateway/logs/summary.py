"""What a log amounts to: how many exchanges, how they ended, how long they took, what they cost.

The rule here: memory is bounded by MAX_GROUPS and MAX_CODES, however many names callers make up.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from gateway.logs.quantiles import Quantiles

MAX_GROUPS: Final = 1_000
MAX_CODES: Final = 100  # the gateway's own codes are fewer
OTHERS: Final = "(others)"
NONE: Final = "(none)"
FINISHED: Final = "finished"

SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Settled(msgspec.Struct, gc=False):
    """What of an exchange's line is summed; decoding these alone is a third faster."""

    event: str
    timestamp: str
    principal: str | None = None
    provider: str | None = None
    model: str | None = None
    credential_id: str | None = None
    dialect: str | None = None
    status: int | None = None
    outcome: str | None = None
    error_code: str | None = None
    refused_by: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_micros: int | None = None
    first_content_s: float | None = None
    duration_s: float | None = None
    added_s: float | None = None


def _named(name: str) -> Callable[[Settled], str]:
    def find(line: Settled) -> str:
        value = getattr(line, name)
        return NONE if value is None else str(value)

    return find


BY: Final[dict[str, Callable[[Settled], str]]] = {
    name: _named(name)
    for name in (
        "provider",
        "model",
        "principal",
        "outcome",
        "error_code",
        "status",
        "credential_id",
        "dialect",
        "refused_by",
    )
} | {
    "day": lambda line: line.timestamp[:10],
    "hour": lambda line: line.timestamp[:13],
}


class Sum:
    """Of the exchanges of one group."""

    def __init__(self) -> None:
        self.exchanges = 0
        self.finished = 0
        self.codes: Counter[str] = Counter()
        self.first_content_s = Quantiles()
        self.duration_s = Quantiles()
        self.added_s = Quantiles()
        self.tokens_in = 0
        self.tokens_out = 0
        self.cost_micros = 0
        self.unpriced = 0  # used tokens that nobody could price

    def add(self, line: Settled) -> None:
        """One more exchange."""
        self.exchanges += 1
        if line.outcome == FINISHED:
            self.finished += 1
        if line.error_code is not None:
            self._count_code(line.error_code)
        if line.first_content_s is not None:
            self.first_content_s.add(line.first_content_s)
        if line.duration_s is not None:
            self.duration_s.add(line.duration_s)
        if line.added_s is not None:
            self.added_s.add(line.added_s)
        if line.tokens_in is not None or line.tokens_out is not None:
            self.tokens_in += line.tokens_in or 0
            self.tokens_out += line.tokens_out or 0
            if line.cost_micros is None:
                self.unpriced += 1
        self.cost_micros += line.cost_micros or 0

    def as_object(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "exchanges": self.exchanges,
            "finished": self.finished,
            "errors": dict(self.codes.most_common()),
            "first_content_s": quantiles_of(self.first_content_s),
            "duration_s": quantiles_of(self.duration_s),
            "added_s": quantiles_of(self.added_s),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost_micros": self.cost_micros,
            "unpriced": self.unpriced,
        }

    def _count_code(self, code: str) -> None:
        self.codes[code if code in self.codes or len(self.codes) < MAX_CODES else OTHERS] += 1


class Summary:
    """Of a whole log, in groups."""

    def __init__(self, by: Sequence[str] = ()) -> None:
        """`by` holds keys of BY; without one there is one group."""
        self.by = tuple(by)
        self.first = ""
        self.last = ""
        self._keys = tuple(BY[name] for name in self.by)
        self._groups: dict[tuple[str, ...], Sum] = {}

    def add(self, line: Settled) -> None:
        """One more exchange."""
        timestamp = line.timestamp
        if not self.first or timestamp < self.first:
            self.first = timestamp
        if timestamp > self.last:  # noqa: PLR1730 - `max` is called for each line
            self.last = timestamp
        key = tuple([find(line) for find in self._keys])
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_GROUPS:
                key = (OTHERS,) * len(key)
            group = self._groups.setdefault(key, Sum())
        group.add(line)

    def groups(self) -> list[tuple[tuple[str, ...], Sum]]:
        """The sums, those of most exchanges first; those of days and hours in their order."""
        in_time = bool(self.by) and self.by[0] in {"day", "hour"}
        return sorted(
            self._groups.items(),
            key=lambda group: group[0] if in_time else (-group[1].exchanges, *group[0]),
        )


def quantiles_of(values: Quantiles) -> dict[str, float | None]:
    """Each of SHARES, in seconds, rounded to microseconds."""
    found = {name: values.at(share) for name, share in SHARES.items()}
    return {name: None if at is None else round(at, 6) for name, at in found.items()}
