"""Admits and settles requests, between the rules on one side and the counters on the other.

The rule here: whatever was admitted is settled exactly once, when its exchange is, however that
ends. A hold has its own id, because callers choose request ids and two requests may share one.
"""

import itertools
import secrets
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec
from aiohttp import web

from gateway.config.limit_rules import LimitSpec
from gateway.core.clock import Clock, system_clock
from gateway.core.errors import DownstreamError, GatewayError
from gateway.core.exchange import Exchange
from gateway.core.tasks import Tasks
from gateway.limits.allowance import Allowance, Share, make_shares
from gateway.limits.answers import (
    Wording,
    refuse_blindly,
    refuse_body,
    refuse_for_ever,
    refuse_for_now,
    refuse_output,
    refuse_unpriced,
    render_headers,
)
from gateway.limits.asked import Asked
from gateway.limits.plans import Plans
from gateway.limits.rules import Rule, Use
from gateway.stores.counters import Admission, Charge, CounterKind, CounterStore, Used
from gateway.stores.errors import CountersDownError


class Grant(msgspec.Struct):
    """What the rules grant one request."""

    headers: dict[str, str]  # for the answer, whatever it is
    output_cap: int | None = None  # the longest answer that may be requested
    refusal: GatewayError | None = None
    allowance: Allowance | None = None  # if a rule may end the stream


NO_LIMITS = Grant({})

GRANT: web.RequestKey[Grant] = web.RequestKey("grant", Grant)
"""Set by `enforce_limits` for every request for an answer: to look for what is not there raises
and catches an exception, which takes 2 µs."""


class _Hold(msgspec.Struct):
    """A request that was admitted."""

    id: str
    uses: Sequence[Use]
    more: list[str] = []  # the ids of further holds that its stream has taken since
    allowance: Allowance | None = None
    is_settled: bool = False


class Limiter:
    """All rules of one gateway."""

    def __init__(
        self,
        specs: Iterable[LimitSpec],
        store: CounterStore,
        wall: Clock = system_clock,
        tasks: Tasks | None = None,
    ) -> None:
        self._rules = [Rule(spec, index) for index, spec in enumerate(specs)]
        self._plans = Plans(self._rules)
        self._tries_out = any(rule.is_tried_out for rule in self._rules)
        self._store = store
        self._wall = wall
        self._tasks = tasks
        self._holds: dict[Exchange, _Hold] = {}
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count()

    @property
    def held(self) -> int:
        """How many requests were admitted and are not settled yet."""
        return len(self._holds)

    async def admit(self, exchange: Exchange, asked: Asked) -> Grant:
        """Admit a request, or say why not; a second call for the same exchange takes nothing."""
        if exchange in self._holds:
            return Grant({})
        plan = self._plans.find(asked)
        grant = Grant({}, plan.output_cap)
        output_tokens = asked.output_tokens
        if asked.asked_output_tokens is None:  # what the caller asks for goes to the provider
            output_tokens = _shorter(output_tokens, grant.output_cap)
        now = self._wall()
        uses: list[Use] = []
        shares: list[Share] = []
        for part in plan.parts:
            if part.ready is not None:
                uses += part.ready
                continue
            rule = part.rule
            taken = rule.uses(part.counters, asked, output_tokens, now)
            refusal = _refuse_size(rule, taken, asked) if rule.looks_at_size else None
            if refusal is None:
                uses += taken
                if rule.stops_streams and exchange.stream:
                    shares += make_shares(rule, taken, asked, output_tokens)
            elif rule.is_tried_out:
                exchange.note_would_refuse(rule.name)
            else:
                exchange.refused_by = rule.name
                grant.refusal = refusal
                return grant
        if uses:
            # There are fewer if the model is free, or if a dry-run rule would have refused.
            wording = plan.wording if len(uses) == plan.counters else None
            hold = await self._take(exchange, uses, grant, wording)
            if shares and hold is not None:
                grant.allowance = self._make_allowance(exchange, shares, hold)
        return grant

    def settle(self, exchange: Exchange) -> None:
        """Book what a settled exchange has used; called as an observer."""
        hold = self._holds.pop(exchange, None)
        if hold is None:
            return
        tokens = 0 if exchange.usage is None else exchange.usage.tokens
        self._store.settle(hold.id, Used(tokens, exchange.spent_micros or 0))
        hold.is_settled = True
        for more in hold.more:
            self._store.settle(more, Used())
        allowance, hold.allowance = hold.allowance, None  # it refers to the hold: break the cycle
        if allowance is not None:
            allowance.leave()

    async def renew(self) -> None:
        """Renew all holds; must be called every third of `LEASE_S`."""
        holds = self._holds.values()
        await self._store.renew([hold_id for hold in holds for hold_id in (hold.id, *hold.more)])

    def count_places(self) -> dict[str, int]:
        """How many concurrent places this process takes, for each rule that limits them."""
        places = {
            cap.rule: 0
            for rule in self._rules
            for cap in rule.caps
            if cap.kind is CounterKind.PLACES
        }
        for hold in self._holds.values():
            for use in hold.uses:
                if use.cap.kind is CounterKind.PLACES:
                    places[use.cap.rule] += 1
        return places

    async def _take(
        self, exchange: Exchange, uses: Sequence[Use], grant: Grant, wording: Wording | None
    ) -> _Hold | None:
        """Ask the store; the hold, or None with the refusal in the grant."""
        hold = _Hold(self._new_id(), uses)
        # Noted before asking: if the caller leaves meanwhile, the store may already have taken it.
        self._holds[exchange] = hold
        try:
            admission = await self._store.admit(hold.id, [use.charge for use in uses])
        except CountersDownError as error:
            del self._holds[exchange]
            rule = self._rules[error.rule]
            exchange.refused_by = rule.name
            grant.refusal = refuse_blindly(rule)
            return None
        standings = admission.standings
        grant.headers = render_headers(uses, standings, wording)
        if not admission.is_admitted:
            del self._holds[exchange]
            use, standing = max(
                (
                    (use, standing)
                    for use, standing in zip(uses, standings, strict=True)
                    if not use.charge.is_tried_out
                ),
                key=lambda pair: pair[1].wait_s,
            )
            exchange.refused_by = use.cap.rule
            grant.refusal = refuse_for_now(use, standing, self._wall())
        if self._tries_out:
            _note_tried_out(exchange, uses, admission)
        return hold if admission.is_admitted else None

    def _make_allowance(self, exchange: Exchange, shares: list[Share], hold: _Hold) -> Allowance:
        if self._tasks is None:
            raise RuntimeError("Rules that stop streams need tasks.")
        would_refuse = exchange.would_refuse  # dry-run rules that would refuse took nothing
        taken = [share for share in shares if share.use.cap.rule not in would_refuse]
        take = partial(self._take_more, hold)
        allowance = Allowance(exchange, taken, take, tasks=self._tasks, wall=self._wall)
        hold.allowance = allowance
        return allowance

    async def _take_more(self, hold: _Hold, charges: Sequence[Charge]) -> Admission | GatewayError:
        """Take a further hold for the same exchange, settled together with it."""
        hold_id = self._new_id()
        hold.more.append(hold_id)
        try:
            admission = await self._store.admit(hold_id, charges)
        except CountersDownError as error:
            hold.more.remove(hold_id)
            return refuse_blindly(self._rules[error.rule])
        finally:
            if hold.is_settled:  # in the meantime: give back whatever was taken
                self._store.settle(hold_id, Used())
        if not admission.is_admitted:
            hold.more.remove(hold_id)
        return admission

    def _new_id(self) -> str:
        return f"{self._process}-{next(self._numbers)}"


def _note_tried_out(exchange: Exchange, uses: Sequence[Use], admission: Admission) -> None:
    """Note which dry-run rules would have refused, each once."""
    for use, standing in zip(uses, admission.standings, strict=True):
        if standing.wait_s and use.charge.is_tried_out:
            exchange.note_would_refuse(use.cap.rule)


def _shorter(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


def _refuse_size(rule: Rule, uses: Sequence[Use], asked: Asked) -> DownstreamError | None:
    """The error for a request that no waiting will make fit."""
    if rule.max_body_bytes is not None and asked.body_bytes > rule.max_body_bytes:
        return refuse_body(rule)
    longest, wanted = rule.max_output_tokens, asked.asked_output_tokens
    if longest is not None and wanted is not None and wanted > longest:
        return refuse_output(rule, asked)
    if rule.refuses_unpriced and asked.price is None:
        return refuse_unpriced(rule, asked)
    for use in uses:
        if use.charge.cost > use.charge.capacity:
            return refuse_for_ever(use, asked)
    return None
