"""The limit of wrong keys from one address."""

import pytest

from gateway.auth import wrong_keys
from gateway.auth.wrong_keys import WrongKeys, network_of
from gateway.core.errors import TooManyWrongKeysError
from tests.plugins.stored_keys import Clock

PER_MINUTE = 6


def show(counter: WrongKeys, address: str, count: int) -> None:
    """So many wrong keys from an address."""
    for _ in range(count):
        counter.count(address)


def test_a_minutes_worth_may_come_at_once_and_no_more() -> None:
    """Then one each ten seconds (E11)."""
    clock = Clock()
    counter = WrongKeys(clock, PER_MINUTE)

    show(counter, "10.0.0.1", PER_MINUTE - 1)
    assert counter.wait_s("10.0.0.1") == 0
    show(counter, "10.0.0.1", 1)
    assert counter.wait_s("10.0.0.1") == 10
    clock.now += 10
    assert counter.wait_s("10.0.0.1") == 0
    show(counter, "10.0.0.1", 1)
    assert counter.wait_s("10.0.0.1") == 10


def test_who_waits_as_long_as_told_is_let_in() -> None:
    """`Retry-After` is the truth."""
    clock = Clock()
    counter = WrongKeys(clock, PER_MINUTE)
    show(counter, "10.0.0.1", 3 * PER_MINUTE)

    clock.now += counter.wait_s("10.0.0.1")

    assert counter.wait_s("10.0.0.1") == 0


def test_others_do_not_wait() -> None:
    """It is that address alone."""
    counter = WrongKeys(Clock(), PER_MINUTE)
    show(counter, "10.0.0.1", PER_MINUTE)

    assert counter.wait_s("10.0.0.2") == 0


def test_a_subscriber_of_ipv6_is_one_address() -> None:
    """Who has a /64 has more addresses than keys can be tried in a lifetime."""
    counter = WrongKeys(Clock(), PER_MINUTE)
    for number in range(PER_MINUTE):
        counter.count(f"2001:db8:0:1::{number:x}")

    assert counter.wait_s("2001:db8:0:1:ffff::1") > 0
    assert counter.wait_s("2001:db8:0:2::1") == 0


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::5", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_address(address: str, counts_as: str) -> None:
    """However it is written."""
    assert network_of(address) == counts_as


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was longest without a mistake is forgotten."""
    monkeypatch.setattr(wrong_keys, "ADDRESSES_MAX", 3)
    counter = WrongKeys(Clock(), 1)

    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.4"):
        counter.count(address)

    assert len(counter) == 3
    assert counter.wait_s("10.0.0.1") > 0
    assert counter.wait_s("10.0.0.2") == 0


def test_a_flood_is_told_how_long_to_wait() -> None:
    """In the words that callers and admins hear."""
    clock = Clock()
    counter = WrongKeys(clock, PER_MINUTE)
    counter.refuse_flood("10.0.0.1")
    show(counter, "10.0.0.1", PER_MINUTE)

    with pytest.raises(TooManyWrongKeysError, match="try again in 10 s") as refused:
        counter.refuse_flood("10.0.0.1")

    assert refused.value.headers == {"Retry-After": "10"}
    counter.refuse_flood("10.0.0.2")
