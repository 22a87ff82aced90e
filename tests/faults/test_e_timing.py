"""Group E: how long a wrong key takes says nothing about the right one.

The rule here: two sorts of wrong keys are measured in turn, in an order nobody chose, and Welch's t
says whether they differ; a comparison that does tell them apart is measured as well.
"""

import random
import statistics
import string
import time
from collections.abc import Callable

import pytest

from gateway.auth.static_keys import StaticKeys, digest_of
from gateway.config.settings import AdminSpec, GatewayKeyAuth
from gateway.console.guard import Guard
from gateway.core.gateway_key import make_key
from gateway.stores.peppers import Peppers
from tests.plugins.stored_keys import PEPPER

SAMPLES = 12_000
DIGITS = string.digits + string.ascii_letters
KEPT = 0.9  # the slowest are the machine's
T_MAX = 4.5  # by chance once in 150,000 times
KEY = make_key()
Look = Callable[[str], object]


def by_characters(key: str) -> bool:
    """Compare as nobody should: it ends at the first difference."""
    return all(one == other for one, other in zip(key, KEY, strict=True))


def static() -> Look:
    """A key that is written in gateway.yaml."""
    spec = GatewayKeyAuth(kind="gateway_key", keys={"alice": digest_of(KEY)})
    principals = StaticKeys(spec)._principals  # noqa: SLF001 - without the event loop's own time
    return lambda key: principals.get(digest_of(key))


def admin() -> Look:
    """A key of an admin."""
    keys = {f"ops{number}": digest_of(make_key()) for number in range(4)}
    guard = Guard(AdminSpec(keys={**keys, "ops": digest_of(KEY)}))
    return lambda key: guard._find(digest_of(key))  # noqa: SLF001 - the same


def stored() -> Look:
    """A key that is stored: what the gateway remembers is found by its digest."""
    peppers = Peppers({1: PEPPER})
    known = {peppers.digest(KEY): "alice"}
    return lambda key: known.get(peppers.digest(key))


def measure_t(look: Look) -> float:
    """Welch's t between keys that are nearly right and keys that are not at all."""
    chance = random.Random(4)  # noqa: S311 - an order, no secret
    keys = []
    for _ in range(SAMPLES):
        made = "".join(chance.choices(DIGITS, k=len(KEY)))
        is_near = chance.random() < 0.5
        # Each key comes once, and is put together in the same way: where a key lies in memory is
        # a difference too.
        keys.append((is_near, (KEY if is_near else made)[:-5] + made[-5:]))
    taken: dict[bool, list[int]] = {True: [], False: []}
    for is_near, key in keys:
        begun = time.perf_counter_ns()
        look(key)
        took = time.perf_counter_ns() - begun  # before anything that knows which sort it was
        taken[is_near].append(took)
    limit = sorted(taken[True] + taken[False])[int(SAMPLES * KEPT)]
    first, second = ([one for one in times if one <= limit] for times in taken.values())
    spread = statistics.variance(first) / len(first) + statistics.variance(second) / len(second)
    return abs(statistics.fmean(first) - statistics.fmean(second)) / spread**0.5


@pytest.mark.parametrize("make_look", [static, admin, stored])
def test_a_key_that_is_nearly_right_takes_as_long(make_look: Callable[[], Look]) -> None:
    """E04: what is compared is a digest, of which the beginning says nothing of the key's."""
    assert measure_t(make_look()) < T_MAX


def test_a_comparison_that_ends_early_is_seen() -> None:
    """Or the other tests would see nothing either."""
    assert measure_t(by_characters) > T_MAX
