"""What a stream may use: what was set aside for it, and more of what its rules have left.

The rule here: the counters are asked before the last of it is used, so a stream whose rules have
enough never waits; and what is taken here is held like all else, so others cannot take it too.
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

# More is asked for when so many tokens are left: a third of a second of a fast model.
AHEAD_TOKENS = 32
NEVER = sys.maxsize

# The store's answer, or, where the store does not answer and nobody may go on uncounted, that.
Take = Callable[[Sequence[Charge]], Awaitable[Admission | GatewayError]]
Stop = Callable[[GatewayError], None]


class Answer(Protocol):
    """What is known of an answer while it comes."""

    @property
    def counted(self) -> Usage | None:
        """The provider's count, where it has sent one by now."""

    @property
    def tokens_seen(self) -> int:
        """How long it is by now, as we estimate it."""

    @property
    def is_complete(self) -> bool:
        """Whether it is all there: there is nothing left to stop then."""


class Share(msgspec.Struct):
    """What a stream has of one counter, in tokens or in micros."""

    use: Use
    held: int
    step: int  # how much more is asked for at a time
    ahead: int  # and when: when so little is left
    refusal: GatewayError | None = None  # there is no more; what is held may be used

    def left(self, used: Used) -> int:
        """What is left of it; less than nothing when more was used."""
        return self.held - used.amount(self.use.cap.kind)

    def needs_more(self, used: Used) -> bool:
        """Whether it is time to ask."""
        return self.refusal is None and self.left(used) < self.ahead


def make_shares(
    rule: Rule, uses: Sequence[Use], asked: Asked, output_tokens: int | None
) -> list[Share]:
    """What a rule that ends streams gives to one; `output_tokens` is what caps the answer."""
    step = max(rule.reserve_tokens, 2 * AHEAD_TOKENS)
    # A provider keeps to the length that it was told: more is asked for when it does not.
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
    """The shares of one exchange, whichever attempt is under way."""

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
        self._counted_at = 0  # how much was seen when the provider's count came
        self._look_at = 0  # below that many tokens nothing can have happened
        self._is_asking = False

    def watch(self, answer: Answer, stop: Stop) -> None:
        """Begin with an attempt; `stop` is called once it has used more than there is."""
        self._answer, self._stop = answer, stop
        self._counted, self._counted_at, self._look_at = None, 0, 0

    def look(self) -> None:
        """To be called whenever something of the answer has come."""
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
        """The attempt has ended: nothing is asked for any more."""
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
        """Ask for more of each; who is refused asks for what there is the next time."""
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
            # Crumbs are left lying: each is a hold of its own, and a rate makes new ones for ever.
            elif max(least[at], share.ahead) <= standing.remaining < steps[at]:
                share.step = standing.remaining
            else:
                share.refusal = refuse_the_rest(share.use, standing, self._wall())

    def _end_if_over(self, used: Used) -> None:
        """Stop what has used more than there is; of a rule that is tried out it is noted."""
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
        """What this attempt and those before it came to."""
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
        """How much longer the answer may get before it is worth another look; 1 at least."""
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
