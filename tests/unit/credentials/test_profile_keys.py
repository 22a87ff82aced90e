"""A credential of a profile goes in and does not come out."""

import asyncio

import pytest
from pydantic import SecretStr

from gateway.core.errors import (
    CredentialUnavailableError,
    InvalidRequestError,
    MethodNotAllowedError,
    NoProfileError,
)
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.tasks import Tasks
from gateway.credentials.lookup_cache import LookupCache
from gateway.credentials.profile_keys import (
    ProfileKey,
    StoredProfileKeys,
    SupabaseProfileKeys,
    check_key_text,
    ending_of,
    new_version,
)
from gateway.credentials.stored import Opened, Opener
from gateway.credentials.supabase_profiles import Subjects
from gateway.stores.credentials import StoredCredential
from gateway.stores.opening_credentials import OpenCredentials
from tests.plugins.shelf import Shelf
from tests.plugins.stored_credentials import FIELD, VALUE, keys_of, new_credential
from tests.plugins.stored_keys import NOW, Clock

ALICE = Principal("alice", "jwt")
HOLDER = Principal("alice", "gateway_key")
SECRET = SecretStr(VALUE)


class Scene:
    """Stored profiles, and what remembers them."""

    def __init__(self, opened: OpenCredentials, tasks: Tasks) -> None:
        self.opened = opened
        self.remembered: LookupCache[str, Opened] = LookupCache(
            "stored", Opener(opened).look_up, tasks
        )
        self.keys = StoredProfileKeys(opened, self.remembered, Clock())


@pytest.fixture
def scene(sqlite_credentials: OpenCredentials, tasks: Tasks) -> Scene:
    """Empty profiles."""
    return Scene(sqlite_credentials, tasks)


async def test_what_was_set_is_described(scene: Scene) -> None:
    """By its end and by when; and it is the caller's alone."""
    described = await scene.keys.save(ALICE, FIELD, SECRET)

    assert described == ProfileKey(VALUE[-4:], NOW)
    assert await scene.keys.fetch(ALICE) == {FIELD: described}
    assert await scene.keys.fetch(HOLDER) == {}
    (stored,) = (await scene.opened.store.fetch_of(["user:alice"]))["user:alice"].values()
    assert stored.version != 0


async def test_a_change_counts_at_once(scene: Scene) -> None:
    """For the calls of this gateway: whoever sets a key tries it next."""
    assert await scene.remembered.find("user:alice") is None
    await scene.keys.save(ALICE, FIELD, SECRET)
    assert await scene.remembered.find("user:alice") is not None

    assert await scene.keys.delete(ALICE, FIELD)

    assert await scene.remembered.find("user:alice") is None
    assert not await scene.keys.delete(ALICE, FIELD)


async def test_one_that_does_not_open_can_be_replaced(scene: Scene) -> None:
    """It is shown without its end."""
    lost = new_credential(keys_of(3))
    await scene.opened.store.save(StoredCredential("user:alice", FIELD, 7, lost.envelope, NOW))

    assert await scene.keys.fetch(ALICE) == {FIELD: ProfileKey(None, NOW)}
    await scene.keys.save(ALICE, FIELD, SECRET)
    assert (await scene.keys.fetch(ALICE))[FIELD].last_four == VALUE[-4:]


async def test_a_store_that_is_away_is_said(scene: Scene) -> None:
    """And nothing is believed of before."""
    await scene.opened.store.close()
    async with scene.opened.store._database.write() as connection:  # noqa: SLF001 - to break it
        await connection.exec_driver_sql("DROP TABLE stored_credentials")

    for work in (
        scene.keys.fetch(ALICE),
        scene.keys.save(ALICE, FIELD, SECRET),
        scene.keys.delete(ALICE, FIELD),
    ):
        with pytest.raises(CredentialUnavailableError) as refused:
            await work
        assert VALUE not in f"{refused.value.detail}"


async def test_a_change_that_was_cancelled_is_looked_up_again(scene: Scene) -> None:
    """It may have been written all the same."""
    await scene.keys.save(ALICE, FIELD, SECRET)
    await scene.remembered.find("user:alice")
    for turns in range(12):
        change = asyncio.ensure_future(
            scene.keys.save(ALICE, FIELD, SecretStr(f"sk-canary-change-{turns:04}"))
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        change.cancel()
        await asyncio.wait([change])

        (stored,) = (await scene.opened.store.fetch_of(["user:alice"]))["user:alice"].values()
        opened = await scene.remembered.find("user:alice")
        assert opened is not None
        assert opened[FIELD].version == stored.version


@pytest.mark.parametrize("principal", [ANONYMOUS, Principal("local", "anonymous")])
async def test_who_showed_nothing_has_no_profile(scene: Scene, principal: Principal) -> None:
    """Everybody would share it."""
    for work in (
        scene.keys.fetch(principal),
        scene.keys.save(principal, FIELD, SECRET),
        scene.keys.delete(principal, FIELD),
    ):
        with pytest.raises(NoProfileError):
            await work


async def test_a_table_of_a_front_end_is_only_read(tasks: Tasks) -> None:
    """What there is, is shown; who changes it is the front end."""
    shelf = Shelf({"u1": {FIELD: SECRET}})
    keys = SupabaseProfileKeys(LookupCache("t", shelf.look_up, tasks), Subjects(""))
    user, other = Principal("u1", "supabase_cookie"), Principal("u2", "supabase_cookie")

    assert await keys.fetch(user) == {FIELD: ProfileKey(VALUE[-4:])}
    assert await keys.fetch(other) == {}
    for work in (keys.save(user, FIELD, SECRET), keys.delete(user, FIELD)):
        with pytest.raises(MethodNotAllowedError) as refused:
            await work
        assert refused.value.headers == {"Allow": "GET"}
    for work in (keys.fetch(HOLDER), keys.save(HOLDER, FIELD, SECRET)):
        with pytest.raises(NoProfileError):
            await work


@pytest.mark.parametrize(
    ("value", "ending"), [("12345678901", None), ("123456789012", "9012"), ("", None)]
)
def test_of_a_short_one_nothing_is_shown(value: str, ending: str | None) -> None:
    """Four of eleven characters are too much."""
    assert ending_of(SecretStr(value)) == ending


@pytest.mark.parametrize(
    "text", ["", "1234567", "x" * 4097, "a b c d e f", "sk-cänary-1", "\0" * 9]
)
def test_what_cannot_be_a_credential_is_refused(text: str) -> None:
    """Without quoting it."""
    with pytest.raises(InvalidRequestError) as refused:
        check_key_text(text, "`key`")

    assert "nary" not in refused.value.public
    assert refused.value.param == "key"


def test_blanks_around_it_were_copied_along() -> None:
    """With the line's end."""
    assert check_key_text(" 12345678\r\n", "`key`").get_secret_value() == "12345678"
    assert check_key_text("x" * 4096, "`key`")


def test_no_two_values_have_one_number() -> None:
    """And none has none."""
    versions = {new_version() for _ in range(1000)}

    assert len(versions) == 1000
    assert 0 not in versions
    assert max(versions) < 2**63
