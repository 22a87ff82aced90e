"""What a key may be, and what is handed out when one is made."""

from typing import Any

import pytest

from gateway.core.gateway_key import is_key, make_key
from gateway.stores.errors import KeyDisabledError, StoreError, UnknownKeyError
from gateway.stores.issuing import (
    KeyFieldError,
    WantedKey,
    check_name,
    check_providers,
    check_wanted,
    create_key,
    describe_key,
    find_by_key,
    read_duration,
    rotate_key,
)
from gateway.stores.opening import OpenKeys
from gateway.stores.peppers import Peppers
from tests.plugins.stored_keys import NOW, PEPPER, SOME_KEY


def wanted(**changed: Any) -> WantedKey:
    """A key of alice's."""
    given: dict[str, Any] = {
        "name": "alice",
        "tenant": "",
        "lists": {},
        "expires": None,
        "now": NOW,
    }
    return check_wanted(**{**given, **changed})


def test_lists_are_in_order_and_networks_written_one_way() -> None:
    """So that two keys for the same read the same."""
    lists = {"groups": ["b", "a", "b"], "networks": ["2001:DB8:0::/32", "::ffff:10.0.0.0/104"]}

    made = wanted(lists=lists, expires="1h")

    assert made.groups == ("a", "b")
    assert made.networks == ("10.0.0.0/8", "2001:db8::/32")
    assert (made.providers, made.expires_at) == ((), NOW + 3_600)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "alice\n"}, "name"),
        ({"name": ".."}, "name"),
        ({"name": SOME_KEY}, "name"),
        ({"tenant": "a/b"}, "tenant"),
        ({"tenant": SOME_KEY}, "tenant"),
        ({"lists": {"groups": [SOME_KEY]}}, "groups"),
        ({"lists": {"models": [f"groq/{SOME_KEY}"]}}, "models"),
        ({"lists": {"groups": ["a "]}}, "groups"),
        ({"lists": {"providers": ["../x"]}}, "providers"),
        ({"lists": {"models": ["groq/\n"]}}, "models"),
        ({"lists": {"networks": ["10.0.0.0/33"]}}, "networks"),
        ({"expires": "soon"}, "expires"),
        ({"expires": "-1d"}, "expires"),
        ({"expires": "0s"}, "expires"),
        ({"expires": "2028-02-30"}, "expires"),
        ({"expires": "2027-01-15T08:00"}, "expires"),  # which is now
        ({"expires": "9999-12-31T23:59-01:00"}, "expires"),
    ],
    ids=str,
)
def test_the_first_mistake_is_named_by_its_field(changed: dict[str, Any], field: str) -> None:
    """The command line makes an option of it, the admin API a field of the body."""
    with pytest.raises(KeyFieldError) as caught:
        wanted(**changed)

    assert caught.value.field == field
    assert not any(word in str(caught.value) for word in ("10.0.0.0/33", SOME_KEY))


def test_a_key_for_a_provider_that_is_not_there_is_refused() -> None:
    """With the nearest one, where there is one."""
    for lists, field, says in (
        ({"providers": ["groq", "grok"]}, "providers", r"names grok, .* \(did you mean groq\?\)$"),
        ({"models": ["nothere/x"]}, "models", "names nothere, which is not in the registry$"),
    ):
        with pytest.raises(KeyFieldError, match=says) as caught:
            check_providers(wanted(lists=lists), {"groq", "openai"})
        assert caught.value.field == field
    check_providers(
        wanted(lists={"providers": ["groq"], "models": ["openai/any"]}), {"groq", "openai"}
    )


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ("90s", NOW + 90),
        ("2027-01-16", NOW + 57_600),
        ("2027-01-15T08:01", NOW + 60),
        ("2027-01-15T10:01:00+02:00", NOW + 60),
    ],
)
def test_an_end_is_so_far_away_or_a_date(written: str, end: int) -> None:
    """Without a zone it is UTC, as in every other place."""
    assert wanted(expires=written).expires_at == end


def test_names_and_durations_are_checked_alone_too() -> None:
    """For what comes in an address, or as an overlap."""
    check_name("alice")
    assert read_duration("overlap", "2h") == 7_200
    with pytest.raises(KeyFieldError, match="letters, digits"):
        check_name("")
    with pytest.raises(KeyFieldError, match="a number and a unit"):
        read_duration("overlap", "2")


async def test_a_key_is_handed_out_and_not_kept(sqlite_keys: OpenKeys) -> None:
    """What is shown of it later is its beginning."""
    key, stored = await create_key(sqlite_keys, wanted(tenant="acme", expires="1h"), NOW)

    shown = describe_key(stored, NOW)

    assert is_key(key)
    assert await sqlite_keys.store.find_key(sqlite_keys.peppers.digests(key)) == stored
    assert (shown["state"], shown["tenant"]) == ("active", "acme")
    assert shown["expires_at"] == "2027-01-15T09:00:00Z"
    assert key[:8] in str(shown)
    assert key not in str(shown)


async def test_a_rotation_says_when_the_old_key_ends(sqlite_keys: OpenKeys) -> None:
    """And there is none for a key that was disabled."""
    old, _ = await create_key(sqlite_keys, wanted(), NOW)

    new, old_ends_at = await rotate_key(sqlite_keys, "alice", 60, NOW + 5)

    assert (new != old, old_ends_at) == (True, NOW + 65)
    secrets = (await sqlite_keys.store.fetch_key("alice")).secrets
    assert [secret.expires_at for secret in secrets] == [NOW + 65, None]
    await sqlite_keys.store.disable_key("alice", NOW)
    with pytest.raises(KeyDisabledError):
        await rotate_key(sqlite_keys, "alice", 60, NOW)


async def test_a_rotation_lets_no_key_outlive_its_holder(sqlite_keys: OpenKeys) -> None:
    """Who is told that the old key works for two hours more relies on it."""
    await create_key(sqlite_keys, wanted(expires="1h"), NOW)

    for overlap_s, end in ((7_200, NOW + 3_600), (60, NOW + 60)):
        _, old_ends_at = await rotate_key(sqlite_keys, "alice", overlap_s, NOW)

        assert old_ends_at == end, overlap_s


async def test_no_key_is_made_with_another_pepper(sqlite_keys: OpenKeys) -> None:
    """Two gateways that were started before the first key may have two of them."""
    other = OpenKeys(sqlite_keys.store, Peppers({1: PEPPER[::-1]}), 0)
    await create_key(sqlite_keys, wanted(), NOW)

    with pytest.raises(StoreError, match="another pepper as version 1"):
        await create_key(other, wanted(name="bob"), NOW)
    with pytest.raises(StoreError, match="another pepper as version 1"):
        await rotate_key(other, "alice", 60, NOW)

    assert [key.name for key in await sqlite_keys.store.fetch_keys()] == ["alice"]


async def test_a_key_leads_to_its_holder(sqlite_keys: OpenKeys) -> None:
    """What is no key is told from one that is not known, and neither is repeated."""
    key, stored = await create_key(sqlite_keys, wanted(), NOW)
    other = make_key()

    assert await find_by_key(sqlite_keys, key) == stored
    for text, says in ((other, "not known here"), (other[:-1], "checksum"), ("", "checksum")):
        with pytest.raises(UnknownKeyError, match=says) as caught:
            await find_by_key(sqlite_keys, text)
        assert other[:-1] not in str(caught.value)
