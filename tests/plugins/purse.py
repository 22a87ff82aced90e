"""A counter that gives streams more, as much as a test puts into it.

The rule here: it keeps the store's promise, all or nothing, and notes what was asked of it.
"""

import asyncio
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec
import pytest

from gateway.config.limit_rules import LimitSpec
from gateway.core.cost import make_price
from gateway.core.errors import GatewayError
from gateway.core.exchange import Exchange
from gateway.core.tasks import Tasks
from gateway.limits.allowance import Allowance, Share, make_shares
from gateway.limits.asked import Asked
from gateway.limits.rules import Rule
from gateway.stores.counters import Admission, Charge, Standing
from tests.plugins.counters import MIDNIGHT

ASKED = Asked(
    principal="alice",
    tenant="acme",
    groups=("staff", "sales"),
    provider="groq",
    model="llama",
    body_bytes=400,
    prompt_tokens=100,
    output_tokens=None,
    asked_output_tokens=None,
    choices=1,
    key="alice",
    client_address="2001:db8::1:2",
    price=make_price(Decimal(3), Decimal(15)),
)


class Purse:
    """A counter with so much in it, which notes what is asked of it."""

    def __init__(self) -> None:
        self.there = 0
        self.asked: list[int] = []
        self.refuses: GatewayError | None = None
        self.crashes: list[BaseException] = []
        self.tasks = Tasks(lambda _, error: self.crashes.append(error))
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, charges: Sequence[Charge]) -> Admission | GatewayError:
        """Give all that is asked for, or nothing."""
        await self.gate.wait()
        self.asked += [charge.cost for charge in charges]
        if self.refuses is not None:
            return self.refuses
        total = sum(charge.cost for charge in charges)
        fits = total <= self.there
        left = self.there = self.there - (total if fits else 0)
        standing = Standing(left, 9.0, 0.0 if fits else 1.0)
        return Admission(fits or charges[0].is_tried_out, [standing] * len(charges))


@pytest.fixture
def purse() -> Iterator[Purse]:
    """An empty one."""
    made = Purse()
    yield made
    assert made.crashes == []


def make_share(
    held: int, rule: dict[str, object] | None = None, output: int | None = None
) -> Share:
    """What the rule r gives to a stream, with so much set aside."""
    spec = {"tokens_per_day": 10_000, **(rule or {})}
    made = Rule(LimitSpec.model_validate({"name": "r", "on": "principal", **spec}), 0)
    uses = made.uses(made.find_counters(ASKED), ASKED, output, MIDNIGHT)
    share = make_shares(made, uses, ASKED, output)[0]
    return msgspec.structs.replace(share, held=held)


def make_allowance(purse: Purse, held: int, **rule: object) -> tuple[Exchange, Allowance]:
    """An exchange with one share."""
    exchange = Exchange("r1", 1.0, "POST", "/", "unix", (), price=ASKED.price)
    share = make_share(held, rule)
    allowance = Allowance(
        exchange, [share], purse.take, tasks=purse.tasks, wall=lambda: MIDNIGHT + 5
    )
    return exchange, allowance
