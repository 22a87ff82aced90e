"""Recalling what was spent before a start, so that days and months continue from the ledger.

The rule here: only what the ledger distinguishes can be recalled. It knows callers, keys, tenants,
providers and models, but not groups and addresses, so rules about those begin anew.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, runtime_checkable

import structlog

from gateway.config.limit_rules import LimitSpec
from gateway.core.clock import Clock, system_clock
from gateway.core.cost import Price
from gateway.core.durations import MS_PER_S
from gateway.core.identity import PrincipalKind
from gateway.limits.asked import Asked
from gateway.limits.rules import Rule
from gateway.stores.counters import Charge, Used
from gateway.stores.errors import StoreDownError, StoreError
from gateway.stores.ledger import Spent


class Books(Protocol):
    """The part of the ledger that is used here."""

    caught_up: asyncio.Event  # set once it has what earlier processes left behind

    async def fetch_spent(self, since_ms: int, until_ms: int) -> Sequence[Spent]:
        """What exchanges that began between two moments have spent; StoreError."""


class Recalling(Protocol):
    """Something that takes in past use, piece by piece."""

    def recall(self, charge: Charge, amount: int) -> None:
        """Add an amount to what was used in the charge's window."""


@runtime_checkable
class SharedStore(Protocol):
    """Counters shared by several processes, which may lose their contents at any time."""

    @property
    def begins_anew(self) -> asyncio.Event:
        """Set when the contents may have been lost; `recall` clears it."""

    async def recall(self, spent: Iterable[tuple[Charge, int]]) -> None:
        """Raise what was used in each window to at least this much; StoreDownError."""


class _Sums:
    """Adds up what was used in each window."""

    def __init__(self) -> None:
        self.by_key: dict[str, tuple[Charge, int]] = {}

    def recall(self, charge: Charge, amount: int) -> None:
        _, before = self.by_key.get(charge.key, (charge, 0))
        self.by_key[charge.key] = (charge, before + amount)


AGAIN_S: Final = 10.0  # between two attempts
AT_ONCE: Final = 100  # rows before requests get a turn: 2 ms with three rules
GATEWAY_KEY: Final[PrincipalKind] = "gateway_key"
ANONYMOUS: Final[PrincipalKind] = "anonymous"
UNKNOWN: Final = frozenset({"group", "address"})  # dimensions that the ledger does not record

_log = structlog.get_logger()

# One micro per token in or out; it only matters that there is a price.
_PRICE = Price(1_000_000, 1_000_000, 1_000_000, "")


def find_recallable(specs: Iterable[LimitSpec]) -> list[Rule]:
    """The rules for a day or a month whose use can be recalled from the ledger."""
    rules = [Rule(spec, index) for index, spec in enumerate(specs) if _is_told_apart(spec)]
    return [rule for rule in rules if any(cap.calendar for cap in rule.caps)]


def report_forgotten(specs: Iterable[LimitSpec]) -> None:
    """Log which rules for a day or a month begin anew because the ledger cannot tell."""
    rules = [Rule(spec, index) for index, spec in enumerate(specs) if not _is_told_apart(spec)]
    names = [rule.name for rule in rules if any(cap.calendar for cap in rule.caps)]
    if names:
        _log.warning("limits.begun_anew", rules=names)


async def keep_recalling(
    rules: Sequence[Rule],
    counters: Recalling,
    books: Books,
    wall: Clock = system_clock,
    again_s: float = AGAIN_S,
) -> None:
    """Recall what was spent until now, retrying until the ledger answers."""
    until, has_failed = wall(), False
    while True:
        try:
            await books.caught_up.wait()
            await recall_spent(rules, counters, books, until=until)
        except StoreError as error:
            if not has_failed:
                _log.warning("limits.recall_failed", reason=str(error))
            has_failed = True
            await asyncio.sleep(again_s)
        else:
            _log.info("limits.recalled", rules=[rule.name for rule in rules])
            return


async def keep_recalling_shared(
    rules: Sequence[Rule],
    counters: SharedStore,
    books: Books,
    wall: Clock = system_clock,
    again_s: float = AGAIN_S,
) -> None:
    """Recall what was spent each time a shared store begins anew, until cancelled."""
    while True:
        await counters.begins_anew.wait()
        sums = _Sums()
        await keep_recalling(rules, sums, books, wall, again_s)
        with contextlib.suppress(StoreDownError):  # the event is set again when it is back
            await counters.recall(sums.by_key.values())


async def recall_spent(
    rules: Sequence[Rule], counters: Recalling, books: Books, *, until: float
) -> None:
    """Count what was used in each window up to a moment, in POSIX time; StoreError.

    Use after that moment is counted when it is settled.
    """
    begins = {cap.calendar.window(until)[0] for rule in rules for cap in rule.caps if cap.calendar}
    found = [
        (begin, await books.fetch_spent(int(begin * MS_PER_S), int(until * MS_PER_S)))
        for begin in sorted(begins)
    ]
    for begin, rows in found:  # only now, when all is read: all or nothing is counted
        for number, spent in enumerate(rows, 1):
            _recall_one(spent, begin, rules, counters, until)
            if not number % AT_ONCE:
                await asyncio.sleep(0)


def _recall_one(
    spent: Spent, begin: float, rules: Sequence[Rule], counters: Recalling, until: float
) -> None:
    """Count what one caller has used of one model since a window began."""
    asked, used = _ask_again(spent), Used(spent.tokens, spent.micros)
    for rule in rules:
        if rule.fits(asked):
            for use in rule.uses(rule.find_counters(asked), asked, 1, until):
                if use.cap.calendar is not None and use.charge.starts_at == begin:
                    counters.recall(use.charge, used.amount(use.cap.kind))


def _is_told_apart(spec: LimitSpec) -> bool:
    return UNKNOWN.isdisjoint(spec.dimensions) and spec.match.group is None


def _ask_again(spent: Spent) -> Asked:
    """A request like the ones that spent this."""
    return Asked(
        principal=spent.principal,
        tenant=spent.tenant,
        groups=(),
        provider=spent.provider,
        model=spent.model,
        body_bytes=1,
        prompt_tokens=1,
        output_tokens=1,
        asked_output_tokens=None,
        choices=1,
        key=spent.principal if spent.principal_kind == GATEWAY_KEY else "",
        price=_PRICE,
        is_anonymous=spent.principal_kind == ANONYMOUS,
    )
