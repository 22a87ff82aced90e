"""Counters in Redis, for several processes.

The rule here: each script call counts once, however often it is sent. What this process holds is
also remembered here, so that it can be sent again to a Redis that has lost it.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import msgspec
from typing_extensions import override

from gateway.config.stores import RedisAddress
from gateway.core.clock import Clock
from gateway.stores.counters import Admission, Charge, CounterKind, CounterStore, Standing, Used
from gateway.stores.errors import StoreDownError
from gateway.stores.redis_link import ALL_BACK_S, TIMEOUT_S, RedisLink

# A Redis cluster picks the node by the part in braces, and a script runs on one node, so all keys
# share it.
HOLDS = "{chat-gateway}:holds"
SCRIPT = Path(__file__).with_name("counters.lua")
RENEWED_AT_ONCE = 500
RECALLED_AT_ONCE = 500

SECOND = 1_000_000
MOST = 2**53 - 1  # the largest integer that Lua counts exactly
KINDS = {
    CounterKind.REQUESTS: 1,
    CounterKind.TOKENS: 2,
    CounterKind.PLACES: 3,
    CounterKind.QUOTA: 4,
    CounterKind.MONEY: 5,
}

_encode = msgspec.msgpack.Encoder().encode


class _Hold(msgspec.Struct):
    """The charges of one admitted request of this process."""

    charges: Sequence[Charge]
    packed: bytes
    is_taken: bool = False  # False: asked for, and maybe refused
    was_adopted: bool = False


class RedisCounters(CounterStore):
    """A shared `CounterStore`; `admit` raises StoreDownError if Redis is down."""

    def __init__(
        self,
        address: RedisAddress,
        clock: Clock | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        all_back_s: float = ALL_BACK_S,
    ) -> None:
        """Make one; pass a clock instead of Redis's own only in tests."""
        script = SCRIPT.read_text(encoding="utf-8")
        now = str if clock is None else lambda: str(round(clock() * SECOND))
        self._link = RedisLink(address, script, HOLDS, now=now, timeout_s=timeout_s)
        self._link.when_up = self._come_back
        self._held: dict[str, _Hold] = {}
        # Set when Redis may know nothing of earlier use, because it is new or was flushed.
        self.begins_anew = asyncio.Event()
        self._all_back_s = all_back_s
        self._until_all_are_back: asyncio.TimerHandle | None = None
        self.when_up: Callable[[], None] | None = None

    @property
    def link(self) -> RedisLink:
        """The connection."""
        return self._link

    @property
    def held(self) -> dict[str, Sequence[Charge]]:
        """The charges that this process holds, as far as it knows."""
        return {hold_id: hold.charges for hold_id, hold in self._held.items() if hold.is_taken}

    @override
    async def open(self) -> None:
        await self._link.open(is_required=True)

    @override
    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        hold = self._held[hold_id] = _Hold(charges, _pack(charges))
        try:
            answer = await self._link.call("admit", hold_id, hold.packed)
        except StoreDownError:
            # Redis may have received it and taken the charges, so settle it with nothing used.
            self._held.pop(hold_id, None)
            self._link.tell("settle", hold_id, 0, 0, b"", b"")
            raise
        admission = _read_answer(answer)
        if not admission.is_admitted:
            self._held.pop(hold_id, None)
            return admission
        if any(standing.wait_s for standing in admission.standings):
            hold.charges = find_taken(charges, admission)
            hold.packed = _pack(hold.charges)
        hold.is_taken = True
        return admission

    @override
    def settle(self, hold_id: str, used: Used) -> None:
        hold = self._held.pop(hold_id, None)
        if hold is None:
            return
        packed = hold.packed if hold.is_taken else b""
        was_adopted = b"1" if hold.was_adopted else b""
        tokens, micros = min(used.tokens, MOST), min(used.micros, MOST)
        self._link.tell("settle", hold_id, tokens, micros, packed, was_adopted)

    def adopt(self, hold_id: str, charges: Sequence[Charge]) -> None:
        """Take the charges of a request admitted elsewhere: now, or once Redis is back."""
        hold = self._held[hold_id] = _Hold(charges, _pack(charges), is_taken=True, was_adopted=True)
        if self._link.is_up:
            self._link.tell("adopt", hold_id, hold.packed)

    async def recall(self, spent: Iterable[tuple[Charge, int]]) -> None:
        """Raise what was used in each window to at least this; StoreDownError if Redis is down.

        Several processes may call it, and repeatedly: the largest known amount counts.
        """
        self.begins_anew.clear()
        charges = [msgspec.structs.replace(charge, cost=amount) for charge, amount in spent]
        while len(charges) > RECALLED_AT_ONCE:
            await self._link.call("recall", _pack(charges[:RECALLED_AT_ONCE]), b"")
            charges = charges[RECALLED_AT_ONCE:]
        await self._link.call("recall", _pack(charges), b"1")

    @override
    async def renew(self, hold_ids: Collection[str]) -> None:
        ids = [hold_id for hold_id in hold_ids if hold_id in self._held]
        has_more = True
        while ids or has_more:
            asked, ids = ids[:RENEWED_AT_ONCE], ids[RENEWED_AT_ONCE:]
            has_more, unknown, is_recalled = await self._link.call("renew", *asked)
            if not is_recalled and self._until_all_are_back is None:
                self.begins_anew.set()
            for hold_id in unknown:
                self._tell_again(hold_id.decode())

    @override
    async def close(self) -> None:
        if self._until_all_are_back is not None:
            self._until_all_are_back.cancel()
        await self._link.close()

    def _tell_again(self, hold_id: str) -> None:
        hold = self._held.get(hold_id)
        if hold is not None and hold.is_taken:
            hold.was_adopted = True
            self._link.tell("adopt", hold_id, hold.packed)

    def _come_back(self) -> None:
        """Send what this process holds to Redis before anybody is admitted."""
        for hold_id in self._held:
            self._tell_again(hold_id)
        if self._until_all_are_back is not None:
            self._until_all_are_back.cancel()
        # The ledger may already include use by other processes that have not reconnected yet. If
        # we recalled it now and they reported it later, it would count twice. So wait for them.
        loop = asyncio.get_running_loop()
        self._until_all_are_back = loop.call_later(self._all_back_s, self._ask_the_ledger)
        if self.when_up is not None:
            self.when_up()

    def _ask_the_ledger(self) -> None:
        self._until_all_are_back = None
        self.begins_anew.set()  # it may have; recalling is harmless if not


def find_taken(charges: Sequence[Charge], admission: Admission) -> list[Charge]:
    """The charges that were taken of an admitted request; of a dry-run rule all or none."""
    pairs = list(zip(charges, admission.standings, strict=True))
    unfit = {charge.rule for charge, standing in pairs if standing.wait_s}
    return [charge for charge, _ in pairs if charge.rule not in unfit]


def _pack(charges: Sequence[Charge]) -> bytes:
    try:
        return _encode([_fields_of(charge, charge.key) for charge in charges])
    except UnicodeEncodeError:
        # A lone surrogate, in a name from somebody else's token.
        keys = [charge.key.encode("utf-8", "backslashreplace").decode() for charge in charges]
        return _encode([_fields_of(*pair) for pair in zip(charges, keys, strict=True)])


def _fields_of(charge: Charge, key: str) -> tuple[str | int | float, ...]:
    return (
        key,
        KINDS[charge.kind],
        min(charge.capacity, MOST),
        min(charge.cost, MOST),
        charge.per_s,
        int(charge.starts_at * SECOND),
        int(charge.ends_at * SECOND),
        charge.rule,
        charge.is_tried_out,
    )


def _read_answer(answer: list[int]) -> Admission:
    numbers = iter(answer[1:])
    standings = [
        Standing(remaining, reset / SECOND, wait / SECOND)
        for remaining, reset, wait in zip(numbers, numbers, numbers, strict=True)
    ]
    return Admission(bool(answer[0]), standings)
