"""What a stream may use: what was reserved for it, and more while its rules have any left.

The rule here: more is requested before the last of it is used, so a stream never waits while its
rules have enough left. What is taken here is held like any other reservation, so nobody else can
take it too.
"""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from gateway.core.clock import Clock
from gateway.core.cost import TOKENS_PRICED, price_usage
from gateway.core.errors import GatewayError
from gateway.core.exchange import Exchange
from gateway.core.tasks import Tasks
from gateway.core.usage import Usage
from gateway.limits.answers import refuse_the_rest
from gateway.limits.asked import Asked
from gateway.limits.rules import Rule, Use
from gateway.stores.counters import Admission, Charge, Used

# Request more when this many tokens are left: a third of a second of a fast model.
AHEAD_TOKENS = 32
NEVER = sys.maxsize

# The store's answer, or an error if the store does not answer and nobody may go on uncounted.
Take = Callable[[Sequence[Charge]], Awaitable[Admission | GatewayError]]
Stop = Callable[[GatewayError], None]


class Answer(Protocol):
    """What is known about an answer while it arrives."""

    @property
    def counted(self) -> Usage | None:
        """The provider's count, if it has sent one by now."""

    @property
    def tokens_seen(self) -> int:
        """Our estimate of its length so far."""

    @property
    def is_complete(self) -> bool:
        """Whether all of it has arrived, so that there is nothing left to stop."""


class Share(msgspec.Struct):
    """What a stream holds of one counter, in tokens or micros."""

    use: Use
    held: int
    step: int  # how much more to request at a time
    ahead: int  # request more when less than this is left
    refusal: GatewayError | None = None  # no more to be had; what is held may still be used

    def left(self, used: Used) -> int:
        """What is left of it; negative if more was used."""
        return self.held - used.amount(self.use.cap.kind)

    def needs_more(self, used: Used) -> bool:
        """Whether it is time to request more."""
        return self.refusal is None and self.left(used) < self.ahead


def make_shares(
    rule: Rule, uses: Sequence[Use], asked: Asked, output_tokens: int | None
) -> list[Share]:
    """The shares that a rule gives to a stream it may end; `output_tokens` caps the answer."""
    step = max(rule.reserve_tokens, 2 * AHEAD_TOKENS)
    # A provider keeps to the length it was given, so request more only if it goes beyond.
    ahead = AHEAD_TOKENS if output_tokens is None else 0
    price = asked.price
    shares = []
    for use in uses:
        held = use.charge.cost
        if use.cap.counts_tokens:
            shares.append(Share(use, held, step, ahead))
        elif use.cap.counts_money and price is not None:
            step_micros = max(price.at_most(0, step), 1)
            shares.append(Share(use, held, step_micros, price.at_most(0, ahead)))
    return shares


class Allowance:
    """The shares of one exchange, across all its attempts."""

    def __init__(
        self, exchange: Exchange, shares: list[Share], take: Take, *, tasks: Tasks, wall: Clock
    ) -> None:
        self._exchange = exchange
        self._shares = shares
        self._take = take
        self._tasks = tasks
        self._wall = wall
        self._answer: Answer | None = None
        self._stop: Stop | None = None
        self._counted: Usage | None = None
        self._counted_at = 0  # how many tokens had been seen at the provider's count
        self._look_at = 0  # below this many tokens there is no need to check
        self._is_asking = False

    def watch(self, answer: Answer, stop: Stop) -> None:
        """Watch an attempt; `stop` is called once it has used more than it may."""
        self._answer, self._stop = answer, stop
        self._counted, self._counted_at, self._look_at = None, 0, 0

    def look(self) -> None:
        """Check the limits; called whenever part of the answer has arrived."""
        answer = self._answer
        if answer is None:
            return
        seen, counted = answer.tokens_seen, answer.counted
        if counted is not self._counted:
            self._counted, self._counted_at = counted, seen
        elif seen < self._look_at:
            return
        used = self._measure(seen)
        self._look_at = seen + self._free_tokens(used)
        self._end_if_over(used)
        if not self._is_asking and any(share.needs_more(used) for share in self._shares):
            self._is_asking = True
            self._tasks.spawn("take more for a stream", self._take_more())

    def leave(self) -> None:
        """Stop watching: the attempt has ended, so nothing more is requested."""
        self._answer = self._stop = None

    async def _take_more(self) -> None:
        try:
            while self._answer is not None:
                used = self._measure(self._answer.tokens_seen)
                needy = [share for share in self._shares if share.needs_more(used)]
                if not needy:
                    break
                await self._ask(needy, used)
        finally:
            self._is_asking, self._look_at = False, 0
        if self._answer is not None:
            self._end_if_over(self._measure(self._answer.tokens_seen))

    async def _ask(self, shares: Sequence[Share], used: Used) -> None:
        """Request more for each share; a refused one requests only what is left next time."""
        least = [max(1, -share.left(used)) for share in shares]
        steps = [max(share.step, need) for share, need in zip(shares, least, strict=True)]
        charges = [
            msgspec.structs.replace(share.use.charge, cost=step)
            for share, step in zip(shares, steps, strict=True)
        ]
        admission = await self._take(charges)
        if isinstance(admission, GatewayError):
            for share in shares:
                share.refusal = admission
            return
        unfit = {c.rule for c, s in zip(charges, admission.standings, strict=True) if s.wait_s}
        for at, (share, standing) in enumerate(zip(shares, admission.standings, strict=True)):
            if not standing.wait_s:
                if admission.is_admitted and charges[at].rule not in unfit:
                    share.held += steps[at]
            # Tiny remainders are not taken: each would be a hold of its own, and a rate keeps
            # producing new ones.
            elif max(least[at], share.ahead) <= standing.remaining < steps[at]:
                share.step = standing.remaining
            else:
                share.refusal = refuse_the_rest(share.use, standing, self._wall())

    def _end_if_over(self, used: Used) -> None:
        """Stop an attempt that used more than it may; for a dry-run rule, only note it."""
        for share in list(self._shares):
            if share.refusal is None or share.left(used) >= 0:
                continue
            if share.use.charge.is_tried_out:
                self._exchange.note_would_refuse(share.use.cap.rule)
                self._shares.remove(share)
            elif self._stop is not None and self._answer is not None:
                if not self._answer.is_complete:
                    self._exchange.refused_by = share.use.cap.rule
                    self._stop(share.refusal)
                return

    def _measure(self, seen: int) -> Used:
        """What this attempt and the ones before it have used."""
        exchange = self._exchange
        counted = exchange.believe(self._counted or Usage(None, None, "estimate"))
        usage = counted.fill(exchange.prompt_tokens, self._counted_at)
        later = seen - self._counted_at if self._counted is not None else seen
        before = 0 if exchange.usage is None else exchange.usage.tokens
        micros = usage.provider_cost_micros
        if micros is None:
            cost = price_usage(usage, exchange.price)
            micros = 0 if cost is None else cost.micros
        if exchange.price is not None:
            micros += exchange.price.at_most(0, later)
        return Used(before + usage.tokens + later, (exchange.spent_micros or 0) + micros)

    def _free_tokens(self, used: Used) -> int:
        """How many more tokens may arrive before the next check; at least 1."""
        free = NEVER
        for share in self._shares:
            left = share.left(used)
            if share.refusal is None:
                left -= share.ahead
            if share.use.cap.counts_money:
                price = self._exchange.price
                if price is None or not price.out_micros:
                    continue
                left = left * TOKENS_PRICED // price.out_micros
            free = min(free, left)
        return max(free, 1)
