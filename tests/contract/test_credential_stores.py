"""Every store of credentials does the same: SQLite and PostgreSQL, each the real one.

The rule here: a test knows the protocol alone.
"""

import asyncio

import pytest
from pydantic import SecretStr

from gateway.stores.credentials import Mark
from gateway.stores.envelope import open_envelope, seal
from gateway.stores.opening_credentials import OpenCredentials
from tests.plugins.stored_credentials import VALUE, keys_of, new_credential
from tests.plugins.stored_keys import NOW

MANY = 20
OWNERS = ["user:alice", "key:alice", "tenant:alice", "user:é '%_\\", "user:" + "x" * 320]


async def test_each_owner_has_their_own(opened_credentials: OpenCredentials) -> None:
    """Whatever they are called, and whoever else is asked for."""
    store, keys = opened_credentials.store, opened_credentials.keys
    saved = [new_credential(keys, owner, value=f"{VALUE}{owner}") for owner in OWNERS]
    saved.append(new_credential(keys, OWNERS[0], "openai_api_key"))
    for credential in saved:
        await store.save(credential)

    assert await store.fetch_of([*OWNERS, "user:nobody", "%", "user:alic_"]) == {
        owner: {one.field: one for one in saved if one.owner == owner} for owner in OWNERS
    }
    assert await store.fetch_of(["key:alice"]) == {"key:alice": {saved[1].field: saved[1]}}
    assert await store.fetch_of([]) == {}


async def test_owners_are_listed_by_how_they_begin(opened_credentials: OpenCredentials) -> None:
    """Also where that holds what SQL reads as anything."""
    store, keys = opened_credentials.store, opened_credentials.keys
    for owner in (*OWNERS, "tenant:a_b", "tenant:acb"):
        await store.save(new_credential(keys, owner))

    assert await store.fetch_owners("tenant:") == ["tenant:a_b", "tenant:acb", "tenant:alice"]
    assert await store.fetch_owners("tenant:a_") == ["tenant:a_b"]
    assert len(await store.fetch_owners("")) == len(OWNERS) + 2


async def test_a_new_value_takes_the_place_of_the_old(opened_credentials: OpenCredentials) -> None:
    """With nothing that was said of the old one."""
    store, keys = opened_credentials.store, opened_credentials.keys
    first = new_credential(keys)
    await store.save(first)
    await store.note({first.version: Mark(worked_at=NOW + 1)})
    second = new_credential(keys, value="sk-canary-another-value", set_at=NOW + 5)

    await store.save(second)
    await store.note({first.version: Mark(failed_at=NOW + 9)})

    assert await store.fetch_of(["user:alice"]) == {"user:alice": {second.field: second}}


async def test_of_many_who_set_one_at_once_one_stays(opened_credentials: OpenCredentials) -> None:
    """Two tabs of one user; and it opens."""
    store, keys = opened_credentials.store, opened_credentials.keys
    made = [new_credential(keys, value=f"{VALUE}{number}") for number in range(MANY)]

    await asyncio.gather(*map(store.save, made))

    (found,) = (await store.fetch_of(["user:alice"]))["user:alice"].values()
    assert found in made
    assert open_envelope(keys, found.owner, found.field, found.envelope)


async def test_what_was_deleted_is_gone(opened_credentials: OpenCredentials) -> None:
    """And nothing else."""
    store, keys = opened_credentials.store, opened_credentials.keys
    kept = [new_credential(keys, "key:alice"), new_credential(keys, field="openai_api_key")]
    for credential in (new_credential(keys), *kept):
        await store.save(credential)

    assert await store.delete("user:alice", "groq_api_key")
    assert not await store.delete("user:alice", "groq_api_key")
    assert not await store.delete("user:nobody", "groq_api_key")

    assert await store.fetch_of(["user:alice", "key:alice"]) == {
        one.owner: {one.field: one} for one in kept
    }


async def test_marks_are_kept_beside_each_other(opened_credentials: OpenCredentials) -> None:
    """When it last worked, and when it last failed; of a value that is gone nothing is written."""
    store, keys = opened_credentials.store, opened_credentials.keys
    one, other = new_credential(keys), new_credential(keys, "key:alice")
    await store.save(one)
    await store.save(other)

    await store.note({one.version: Mark(worked_at=NOW + 1), other.version + 1: Mark(NOW + 7)})
    await store.note({one.version: Mark(failed_at=NOW + 2)})
    await store.note({})

    found = await store.fetch_of([one.owner, other.owner])
    (marked,), (unmarked,) = (found[who.owner].values() for who in (one, other))
    assert (marked.worked_at, marked.failed_at) == (NOW + 1, NOW + 2)
    assert unmarked == other


async def test_it_is_known_which_keys_are_needed(opened_credentials: OpenCredentials) -> None:
    """To see at the start whether all keys are there."""
    store = opened_credentials.store
    for number in range(6):
        await store.save(new_credential(keys_of(1 + number % 3), f"user:{number}"))

    assert await store.fetch_keys() == [(at, keys_of(at).find_newest()[1]) for at in (1, 2, 3)]


async def test_what_is_sealed_with_other_keys_comes_in_pieces(
    opened_credentials: OpenCredentials,
) -> None:
    """Each once, whatever is done to those that came before."""
    store = opened_credentials.store
    old, new = keys_of(1), keys_of(1, 2)
    saved = [
        new_credential(new if number == 3 else old, f"user:{number}", field)
        for number in range(6)
        for field in ("a_key", "b_key")
    ]
    for credential in saved:
        await store.save(credential)

    found, place = [], ("", "")
    while piece := await store.fetch_after(place, newest=2, limit=5):
        found += piece
        place = (piece[-1].owner, piece[-1].field)

    assert found == [one for one in saved if one.envelope.key == 1]


async def test_a_new_envelope_is_for_the_value_that_was_read(
    opened_credentials: OpenCredentials,
) -> None:
    """What was set anew meanwhile stays as it was set, what was deleted stays away."""
    store, keys = opened_credentials.store, keys_of(1, 2)
    read = [new_credential(keys_of(1), f"user:{number}") for number in range(3)]
    for credential in read:
        await store.save(credential)
    newer = new_credential(keys_of(1), "user:1", value="sk-canary-set-meanwhile")
    await store.save(newer)
    await store.delete("user:2", read[2].field)

    done = await store.reseal(
        [(one, seal(keys, one.owner, one.field, SecretStr(VALUE))) for one in read]
    )

    found = await store.fetch_of([one.owner for one in read])
    assert done == 1
    assert found["user:0"][read[0].field].envelope.key == 2
    assert found["user:0"][read[0].field].version == read[0].version
    assert found["user:1"] == {newer.field: newer}
    assert "user:2" not in found


@pytest.mark.parametrize("at", [0, 2**62])
async def test_numbers_of_every_size_are_kept(opened_credentials: OpenCredentials, at: int) -> None:
    """A version has 62 bits."""
    credential = new_credential(opened_credentials.keys, set_at=at, worked_at=at, failed_at=at)

    await opened_credentials.store.save(credential)

    found = await opened_credentials.store.fetch_of([credential.owner])
    assert found == {credential.owner: {credential.field: credential}}
