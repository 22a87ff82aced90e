"""The rules of gateway.yaml, ready for use: whether they apply, and what a request takes of each.

The rule here: everything about a rule is worked out once, so that a request costs a few look-ups.
Callers without a tenant, group or key count together as one, so nobody escapes a rule by having
none.
"""

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Literal

import msgspec

from gateway.config.anonymous import AnonymousLimitSpec
from gateway.config.limit_rules import MONEY_SUFFIX, Dimension, LimitSpec, words_of
from gateway.core.money import round_micros
from gateway.limits.asked import Asked
from gateway.limits.calendar import Calendar
from gateway.stores.counters import Charge, CounterKind

Unit = Literal["requests", "tokens", "concurrent", "day", "month"]

NO_CAP = sys.maxsize

MINUTE_S = 60.0
PERIODS_S = {"day": 86_400, "month": 30 * 86_400}  # nominal lengths, for the header
QUOTA_UNITS = {
    CounterKind.REQUESTS: "requests",
    CounterKind.TOKENS: "tokens",
    CounterKind.PLACES: "concurrent-requests",
    CounterKind.QUOTA: "tokens",
    CounterKind.MONEY: "usd-micros",
}
# Each has the same name in `match`; groups are handled separately, as a caller has several.
MATCHED: tuple[Dimension, ...] = ("principal", "key", "tenant", "provider", "model")
# Separates the parts of a key; names never contain control characters.
SEPARATOR = "\x1f"


class Cap(msgspec.Struct, frozen=True, eq=False):
    """One number of one rule, and how it is counted; compared and hashed by identity."""

    rule: str
    label: str  # names the rule and what it counts, for headers
    kind: CounterKind
    written: int  # as in the file; money in micros
    capacity: int  # the most at once; for a quota or money, the most in its window
    per_s: float  # the refill rate of requests and tokens per minute
    whom: str  # for messages, such as "for each principal"
    unit: Unit
    policy: str  # for the header `RateLimit-Policy`
    counts_tokens: bool  # counts tokens, so a request takes as many as it needs
    counts_money: bool
    is_tried_out: bool
    calendar: Calendar | None = None


class Use(msgspec.Struct, frozen=True, gc=False):
    """What one request takes of one cap."""

    cap: Cap
    charge: Charge


# A cap, and the key of the counter that counts it for a given caller.
Counter = tuple[Cap, str]


class Rule:
    """One rule."""

    def __init__(self, spec: LimitSpec, index: int) -> None:
        self.name = spec.name
        self.is_tried_out = spec.dry_run
        self.when_down = spec.on_store_failure
        self.max_body_bytes = spec.max_body_bytes
        self.max_output_tokens = spec.max_output_tokens
        # The cap that the gateway sets if the caller sets none; a dry-run rule changes nothing.
        self.output_cap = NO_CAP if spec.dry_run else spec.max_output_tokens or NO_CAP
        self.caps = make_caps(spec)
        # Whether a request can be too large for it regardless of what others have used.
        self.looks_at_size = bool(
            spec.max_body_bytes
            or spec.max_output_tokens
            or any(cap.counts_tokens or cap.counts_money for cap in self.caps)
        )
        # Whether every request of a caller takes the same amount.
        self.takes_one = not any(cap.counts_tokens or cap.counts_money for cap in self.caps)
        self.refuses_unpriced = spec.counts_money and spec.unpriced == "refuse"
        self.stops_streams = spec.stop_streams
        self._is_for_anonymous = isinstance(spec, AnonymousLimitSpec)
        self._index = index
        self._dimensions = spec.dimensions
        # `attrgetter` returns a single value as it is, and several as a tuple.
        self._values_of: Callable[[Asked], str | tuple[str, ...]] = attrgetter(
            *(spec.dimensions or ["principal"])
        )
        self._counts_groups = "group" in spec.dimensions
        self.counts_addresses = "address" in spec.dimensions
        self.reserve_tokens = spec.reserve_output_tokens
        self._groups = words_of(spec.match.group)
        self._matches: list[tuple[Dimension, frozenset[str]]] = []
        for dimension in MATCHED:
            words = words_of(getattr(spec.match, dimension))
            if words is not None:
                self._matches.append((dimension, words))

    def fits(self, asked: Asked) -> bool:
        """Whether the rule applies to this request."""
        if self._is_for_anonymous and not asked.is_anonymous:
            return False
        for dimension, words in self._matches:
            if getattr(asked, dimension) not in words:
                return False
        return self._groups is None or not self._groups.isdisjoint(asked.groups)

    def needed_tokens(self, asked: Asked, output_tokens: int | None, capacity: int) -> int:
        """What to reserve: the prompt plus the longest answer, or else the rule's `reserve_tokens`.

        `reserve_tokens` is a guess, so it never refuses a request that would fit with less.
        """
        if output_tokens is not None:
            return asked.prompt_tokens + output_tokens * asked.choices
        guess = asked.prompt_tokens + self.reserve_tokens * asked.choices
        return guess if guess <= capacity else max(asked.prompt_tokens, capacity)

    def needed_micros(self, asked: Asked, output_tokens: int | None, capacity: int) -> int:
        """The same in money, at the model's price; the minimum of 1 if it has none."""
        price = asked.price
        if price is None:
            return 1
        if output_tokens is not None:
            return price.at_most(asked.prompt_tokens, output_tokens * asked.choices)
        guess = price.at_most(asked.prompt_tokens, self.reserve_tokens * asked.choices)
        if guess <= capacity:
            return guess
        return max(price.at_most(asked.prompt_tokens, 0), capacity)

    def find_counters(self, asked: Asked) -> list[Counter]:
        """The counters for this request, whatever its size."""
        return [(cap, cap.label + key) for key in self._keys(asked) for cap in self.caps]

    def uses(
        self, counters: Iterable[Counter], asked: Asked, output_tokens: int | None, now: float
    ) -> list[Use]:
        """What this request takes of each counter; `now` is POSIX time."""
        uses = []
        for cap, key in counters:
            cost, starts_at, ends_at = 1, 0.0, 0.0
            if cap.counts_tokens:
                cost = self.needed_tokens(asked, output_tokens, cap.capacity)
            elif cap.counts_money:
                cost = self.needed_micros(asked, output_tokens, cap.capacity)
                if not cost:  # the model is free
                    continue
            if cap.calendar is not None:
                starts_at, ends_at = cap.calendar.window(now)
            charge = Charge(  # positional arguments: by name takes twice as long
                key,
                cap.kind,
                cap.capacity,
                cost,
                cap.per_s,
                starts_at,
                ends_at,
                self._index,
                self.is_tried_out,
                self.when_down,
            )
            uses.append(Use(cap, charge))
        return uses

    def _keys(self, asked: Asked) -> Sequence[str]:
        """The counters' keys: one, unless it counts groups and the caller is in several."""
        if not self._dimensions:
            return ("",)
        if not self._counts_groups:
            values = self._values_of(asked)
            return (SEPARATOR + (values if isinstance(values, str) else SEPARATOR.join(values)),)
        # Each group once: the check of a counter assumes that a request charges it only once.
        asked_groups = dict.fromkeys(asked.groups)
        groups = [g for g in asked_groups if self._groups is None or g in self._groups] or [""]
        parts = [groups if d == "group" else [getattr(asked, d)] for d in self._dimensions]
        return [SEPARATOR + SEPARATOR.join(part) for part in itertools.product(*parts)]


def make_caps(spec: LimitSpec) -> tuple[Cap, ...]:
    """The caps of a rule."""
    caps = []
    if (rate := spec.requests_per_minute) is not None:
        burst = spec.request_burst or rate
        caps.append(_make_cap(spec, "requests", (CounterKind.REQUESTS, rate, burst)))
    if (rate := spec.tokens_per_minute) is not None:
        burst = spec.token_burst or rate
        caps.append(_make_cap(spec, "tokens", (CounterKind.TOKENS, rate, burst)))
    if (places := spec.concurrent) is not None:
        caps.append(_make_cap(spec, "concurrent", (CounterKind.PLACES, places, places)))
    day, month = Calendar("day", spec.time_zone), Calendar("month", spec.time_zone)
    if (tokens := spec.tokens_per_day) is not None:
        caps.append(_make_cap(spec, "day", (CounterKind.QUOTA, tokens, tokens), day))
    if (tokens := spec.tokens_per_month) is not None:
        caps.append(_make_cap(spec, "month", (CounterKind.QUOTA, tokens, tokens), month))
    if (money := spec.money_per_day) is not None:
        micros = round_micros(money)
        caps.append(_make_cap(spec, "day", (CounterKind.MONEY, micros, micros), day))
    if (money := spec.money_per_month) is not None:
        micros = round_micros(money)
        caps.append(_make_cap(spec, "month", (CounterKind.MONEY, micros, micros), month))
    return tuple(caps)


def _make_cap(
    spec: LimitSpec,
    unit: Unit,
    numbers: tuple[CounterKind, int, int],
    calendar: Calendar | None = None,
) -> Cap:
    kind, written, capacity = numbers
    label = f"{spec.name}{MONEY_SUFFIX if kind is CounterKind.MONEY else ''}-{unit}"
    policy = f'"{label}";q={capacity}'
    if unit in PERIODS_S:
        policy += f";w={PERIODS_S[unit]}"
    elif unit != "concurrent":
        # The time in which an empty counter refills, limited to the digits that a header allows.
        policy += f";w={min(math.ceil(capacity * MINUTE_S / written), 10**15 - 1)}"
    return Cap(
        rule=spec.name,
        label=label,
        kind=kind,
        written=written,
        capacity=capacity,
        per_s=written / MINUTE_S,
        whom=_whom(spec.dimensions),
        unit=unit,
        policy=f'{policy};qu="{QUOTA_UNITS[kind]}"',
        counts_tokens=kind in {CounterKind.TOKENS, CounterKind.QUOTA},
        counts_money=kind is CounterKind.MONEY,
        is_tried_out=spec.dry_run,
        calendar=calendar,
    )


def _whom(dimensions: Sequence[Dimension]) -> str:
    if not dimensions:
        return "for all callers together"
    return "for each " + " and ".join(dimensions)
