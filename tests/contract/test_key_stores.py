"""Every store of keys does the same: SQLite and PostgreSQL, each the real one.

The rule here: a test knows the protocol alone.
"""

import asyncio

import pytest

from gateway.core.gateway_key import make_key
from gateway.stores import sql_keys
from gateway.stores.errors import KeyDisabledError, KeyExistsError, KeyNotFoundError
from gateway.stores.keys import Changes, StoredKey, StoredSecret
from gateway.stores.opening import OpenKeys
from tests.plugins.stored_keys import NOW, new_key, new_secret

MANY = 20


async def test_a_key_is_found_by_its_digest(opened: OpenKeys) -> None:
    """With all that was written of it."""
    key, stored = new_key(
        opened.peppers,
        tenant="acme",
        groups=("a", "b"),
        providers=("groq",),
        models=("groq/x", "groq/ü"),
        networks=("10.0.0.0/8", "2001:db8::/32"),
        expires_at=NOW + 5,
    )
    await opened.store.save_key(stored)

    assert await opened.store.find_key(opened.peppers.digests(key)) == stored
    assert await opened.store.fetch_key("alice") == stored
    assert await opened.store.fetch_keys() == [stored]
    assert await opened.store.fetch_peppers() == {1}


async def test_what_tells_peppers_apart_is_kept(opened: OpenKeys) -> None:
    """The last word about a version counts, and the others stay."""
    await opened.store.save_pepper_checks({1: b"a" * 8, 2: b"\0" * 8})
    await opened.store.save_pepper_checks({2: b"\xff" * 8, 9999: b"c" * 8})

    checks = await opened.store.fetch_pepper_checks()

    assert checks == {1: b"a" * 8, 2: b"\xff" * 8, 9999: b"c" * 8}


@pytest.mark.parametrize("digest", [b"", b"x" * 32, b"'; --", b"\0" * 32, b"%", b"\xff" * 32])
async def test_what_is_not_there_is_not_found(opened: OpenKeys, digest: bytes) -> None:
    """Whatever it holds (E02)."""
    _, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)

    assert await opened.store.find_key([digest]) is None
    assert await opened.store.find_key([]) is None


@pytest.mark.parametrize("name", ["' OR 1=1 --", "%", "nobody", ""])
async def test_a_name_that_is_not_there_is_said(opened: OpenKeys, name: str) -> None:
    """By each method that takes one."""
    secret = new_secret(opened.peppers, make_key())

    with pytest.raises(KeyNotFoundError):
        await opened.store.fetch_key(name)
    with pytest.raises(KeyNotFoundError):
        await opened.store.disable_key(name, NOW)
    with pytest.raises(KeyNotFoundError):
        await opened.store.save_secret(name, secret, others_end_at=NOW)
    assert await opened.store.fetch_peppers() == frozenset()


async def test_many_keys_are_found_at_once(opened: OpenKeys) -> None:
    """Each secret by itself, also where a key has two of them; what is not there is left out."""
    alice, stored = new_key(opened.peppers)
    again, bob = make_key(), new_key(opened.peppers, "bob")
    await opened.store.save_key(stored)
    await opened.store.save_key(bob[1])
    secret = new_secret(opened.peppers, again, NOW + 1)
    await opened.store.save_secret("alice", secret, others_end_at=NOW + 10)
    digests = [opened.peppers.digest(key) for key in (alice, again, bob[0], make_key())]

    found = await opened.store.find_keys(digests)

    assert {digest: key.name for digest, key in found.items()} == dict(
        zip(digests[:3], ["alice", "alice", "bob"], strict=True)
    )
    assert [found[digest].secrets[0].expires_at for digest in digests[:3]] == [
        NOW + 10,
        None,
        None,
    ]
    assert all(len(key.secrets) == 1 for key in found.values())
    assert await opened.store.find_keys([]) == {}


async def test_a_name_is_given_once(opened: OpenKeys) -> None:
    """And the second attempt leaves nothing behind."""
    key, stored = new_key(opened.peppers)
    other, again = new_key(opened.peppers)
    await opened.store.save_key(stored)

    with pytest.raises(KeyExistsError, match="alice"):
        await opened.store.save_key(again)

    assert await opened.store.find_key(opened.peppers.digests(other)) is None
    assert await opened.store.find_key(opened.peppers.digests(key)) == stored


async def test_of_many_who_take_a_name_at_once_one_has_it(opened: OpenKeys) -> None:
    """Two operators, two terminals."""
    made = [new_key(opened.peppers) for _ in range(MANY)]

    done = await asyncio.gather(
        *(opened.store.save_key(stored) for _, stored in made), return_exceptions=True
    )

    assert [type(result) for result in done].count(KeyExistsError) == MANY - 1
    assert len(await opened.store.fetch_keys()) == 1


async def test_a_rotated_key_has_two_secrets_until_the_overlap_ends(opened: OpenKeys) -> None:
    """An end that was nearer stays where it was."""
    old, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)
    second, third = make_key(), make_key()

    await opened.store.save_secret(
        "alice", new_secret(opened.peppers, second, NOW + 1), others_end_at=NOW + 10
    )
    await opened.store.save_secret(
        "alice", new_secret(opened.peppers, third, NOW + 2), others_end_at=NOW + 100
    )

    ends = [secret.expires_at for secret in (await opened.store.fetch_key("alice")).secrets]
    assert ends == [NOW + 10, NOW + 100, None]
    found = await opened.store.find_key(opened.peppers.digests(old))
    assert found is not None
    assert [secret.expires_at for secret in found.secrets] == [NOW + 10]


async def test_a_disabled_key_stays_found(opened: OpenKeys) -> None:
    """So that the log can say why it is refused; and the first time counts."""
    key, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)

    assert await opened.store.disable_key("alice", NOW + 1)
    assert not await opened.store.disable_key("alice", NOW + 2)

    found = await opened.store.find_key(opened.peppers.digests(key))
    assert found is not None
    assert (found.disabled_at, found.state_at(NOW + 1)) == (NOW + 1, "disabled")


async def test_keys_are_listed_by_name(opened: OpenKeys) -> None:
    """Each once, however many secrets it has."""
    for name in ("carol", "alice", "bob"):
        _, stored = new_key(opened.peppers, name)
        await opened.store.save_key(stored)
    await opened.store.save_secret(
        "bob", StoredSecret(b"d" * 32, 7, "gw_xxxxx", NOW), others_end_at=NOW
    )

    assert [key.name for key in await opened.store.fetch_keys()] == ["alice", "bob", "carol"]
    assert await opened.store.fetch_peppers() == {1, 7}


async def test_a_pepper_is_needed_for_as_long_as_a_key_works(opened: OpenKeys) -> None:
    """Whichever way it ends; otherwise no pepper could ever be taken out."""
    secrets = [StoredSecret(bytes([at]) * 32, at, "gw_xxxxx", NOW) for at in range(1, 6)]
    ends = {"expires_at": NOW + 10}
    for name, secret, fields in (
        ("lasting", secrets[0], {}),
        ("brief", secrets[1], ends),
        ("rotated", secrets[2], {}),
        ("disabled", secrets[3], {}),
    ):
        await opened.store.save_key(StoredKey(name, NOW, secrets=(secret,), **fields))
    await opened.store.save_secret("rotated", secrets[4], others_end_at=NOW + 20)
    await opened.store.disable_key("disabled", NOW)

    needed = [await opened.store.find_working_peppers(range(9), NOW + s) for s in (9, 10, 20)]

    assert needed == [{1, 2, 3, 5}, {1, 3, 5}, {1, 5}]
    assert await opened.store.fetch_peppers() == {1, 2, 3, 4, 5}
    assert await opened.store.find_working_peppers([2, 4], NOW + 20) == frozenset()


async def test_keys_are_listed_a_page_at_a_time(opened: OpenKeys) -> None:
    """A million of them fit into no answer; each is on one page, with all of its secrets."""
    for name in ("carol", "alice", "bob", "dave"):
        _, stored = new_key(opened.peppers, name)
        await opened.store.save_key(stored)
    await opened.store.save_secret(
        "bob", StoredSecret(b"d" * 32, 7, "gw_xxxxx", NOW), others_end_at=NOW
    )

    first = await opened.store.fetch_keys(limit=2)
    second = await opened.store.fetch_keys(after="bob", limit=2)

    assert [(key.name, len(key.secrets)) for key in first] == [("alice", 1), ("bob", 2)]
    assert [key.name for key in second] == ["carol", "dave"]
    assert await opened.store.fetch_keys(after="dave", limit=2) == []
    assert await opened.store.fetch_keys(after="%", limit=9) != []  # no pattern


async def test_a_disabled_key_gets_no_other_secret(opened: OpenKeys) -> None:
    """Asked in the transaction that would write it: whoever disables it meanwhile has the word."""
    key, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)
    await opened.store.disable_key("alice", NOW)
    new = make_key()

    with pytest.raises(KeyDisabledError, match="another name"):
        await opened.store.save_secret(
            "alice", new_secret(opened.peppers, new), others_end_at=NOW + 10
        )

    assert await opened.store.find_key(opened.peppers.digests(new)) is None
    found = await opened.store.find_key(opened.peppers.digests(key))
    assert found is not None
    assert found.secrets[0].expires_at is None


async def test_look_ups_and_writes_go_on_beside_each_other(opened: OpenKeys) -> None:
    """Nobody is told that the database is locked (J10)."""
    key, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)

    async def write(number: int) -> None:
        _, more = new_key(opened.peppers, f"key{number}")
        await opened.store.save_key(more)

    async def read() -> None:
        assert await opened.store.find_key(opened.peppers.digests(key)) == stored

    await asyncio.gather(*(write(number) for number in range(MANY)), *(read() for _ in range(MANY)))

    assert len(await opened.store.fetch_keys()) == MANY + 1


async def test_what_changed_is_told_by_name(opened: OpenKeys) -> None:
    """Made, rotated, disabled; and nothing where nothing did (E06)."""
    for name in ("alice", "bob"):
        _, stored = new_key(opened.peppers, name)
        await opened.store.save_key(stored)
    made = await opened.store.fetch_changes(opened.revision)
    await opened.store.save_secret("bob", new_secret(opened.peppers, make_key()), others_end_at=NOW)
    rotated = await opened.store.fetch_changes(made.revision)
    await opened.store.disable_key("alice", NOW)
    await opened.store.disable_key("alice", NOW)
    disabled = await opened.store.fetch_changes(rotated.revision)

    assert [change.names for change in (made, rotated, disabled)] == [
        {"alice", "bob"},
        {"bob"},
        {"alice"},
    ]
    assert opened.revision < made.revision < rotated.revision < disabled.revision
    assert await opened.store.fetch_changes(disabled.revision) == Changes(
        disabled.revision, frozenset()
    )
    assert await opened.store.fetch_revision() == disabled.revision


async def test_no_change_is_missed_of_many_at_once(opened: OpenKeys) -> None:
    """Whoever looks all the time has seen every name in the end."""
    seen: set[str] = set()
    revision = opened.revision

    async def write(number: int) -> None:
        _, more = new_key(opened.peppers, f"key{number}")
        await opened.store.save_key(more)

    writing = asyncio.gather(*(write(number) for number in range(MANY)))
    while len(seen) < MANY:
        changes = await opened.store.fetch_changes(revision)
        assert changes.names is not None
        seen |= changes.names
        revision = changes.revision
        if writing.done():
            await writing
    assert seen == {f"key{number}" for number in range(MANY)}


async def test_a_database_that_was_put_back_is_another_one(opened: OpenKeys) -> None:
    """Nothing that is remembered of a later one may be believed."""
    assert await opened.store.fetch_changes(opened.revision + 5) == Changes(opened.revision, None)


async def test_too_many_changes_are_not_named(
    opened: OpenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import of keys is one look as well."""
    monkeypatch.setattr(sql_keys, "CHANGES_MAX", 1)
    for name in ("alice", "bob"):
        _, stored = new_key(opened.peppers, name)
        await opened.store.save_key(stored)

    assert (await opened.store.fetch_changes(opened.revision)).names is None
