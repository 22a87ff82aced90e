"""Everything is sealed anew, whatever stops it in between, and nothing is lost."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.stores.credentials import Envelope, StoredCredential
from gateway.stores.envelope import open_envelope
from gateway.stores.errors import StoreDownError
from gateway.stores.opening_credentials import OpenCredentials
from gateway.stores.reencrypt import reencrypt
from tests.plugins.stored_credentials import VALUE, keys_of, new_credential

OWNERS = [f"user:{number}" for number in range(7)]


class Stopped:
    """A store that stops, one way or the other, at the call whose number it is told."""

    def __init__(self, opened: OpenCredentials, at: int, *, is_cancelled: bool) -> None:
        self._store = opened.store
        self._left = at
        self._is_cancelled = is_cancelled

    async def fetch_after(
        self, place: tuple[str, str], *, newest: int, limit: int
    ) -> list[StoredCredential]:
        """Ask the store behind, unless it is time."""
        self._count()
        return await self._store.fetch_after(place, newest=newest, limit=limit)

    async def reseal(self, credentials: Sequence[tuple[StoredCredential, Envelope]]) -> int:
        """The same; stopped after it was written, which nobody then hears of."""
        done = await self._store.reseal(credentials)
        self._count()
        return done

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise asyncio.CancelledError if self._is_cancelled else StoreDownError("out of order")


async def values(opened: OpenCredentials, *versions: int) -> dict[str, str]:
    """What each owner has, opened with these keys."""
    found = await opened.store.fetch_of(OWNERS)
    return {
        owner: open_envelope(keys_of(*versions), owner, field, one.envelope).get_secret_value()
        for owner, fields in found.items()
        for field, one in fields.items()
    }


async def fill(opened: OpenCredentials) -> dict[str, str]:
    """A credential for each owner, all sealed with the first key."""
    for owner in OWNERS:
        await opened.store.save(new_credential(keys_of(1), owner, value=VALUE + owner))
    return {owner: VALUE + owner for owner in OWNERS}


async def test_all_of_it_is_sealed_with_the_newest_key(
    opened_credentials: OpenCredentials,
) -> None:
    """After which the old one can go; a second run does nothing."""
    expected = await fill(opened_credentials)

    counts = await reencrypt(opened_credentials.store, keys_of(1, 2), batch=3)

    assert (counts.done, counts.changed_meanwhile, counts.problems) == (7, 0, [])
    assert await values(opened_credentials, 2) == expected
    again = await reencrypt(opened_credentials.store, keys_of(1, 2), batch=3)
    assert (again.done, again.problems) == (0, [])


@pytest.mark.parametrize("is_cancelled", [True, False])
@pytest.mark.parametrize("at", range(1, 8))
async def test_it_may_be_stopped_anywhere(
    sqlite_credentials: OpenCredentials, at: int, *, is_cancelled: bool
) -> None:
    """Everything opens at every moment with both keys, and the next run does the rest."""
    expected = await fill(sqlite_credentials)
    stopped = Stopped(sqlite_credentials, at, is_cancelled=is_cancelled)

    with pytest.raises((asyncio.CancelledError, StoreDownError)):
        await reencrypt(stopped, keys_of(1, 2), batch=3)

    assert await values(sqlite_credentials, 1, 2) == expected
    counts = await reencrypt(sqlite_credentials.store, keys_of(1, 2), batch=3)
    assert counts.done == 7 - min(at // 2 * 3, 7)
    assert await values(sqlite_credentials, 2) == expected


async def test_what_does_not_open_is_told_and_left_alone(
    sqlite_credentials: OpenCredentials,
) -> None:
    """The others are done all the same."""
    expected = await fill(sqlite_credentials)
    lost = new_credential(keys_of(3), OWNERS[2])
    moved = new_credential(keys_of(1), OWNERS[0])
    await sqlite_credentials.store.save(lost)
    await sqlite_credentials.store.save(
        StoredCredential(OWNERS[4], moved.field, 5, moved.envelope, moved.set_at)
    )

    counts = await reencrypt(sqlite_credentials.store, keys_of(1, 2), batch=2)

    assert counts.done == 5
    assert len(counts.problems) == 2
    assert "encryption key 3" in counts.problems[0]
    assert VALUE not in "".join(counts.problems)
    found = await sqlite_credentials.store.fetch_of([OWNERS[2]])
    assert found[OWNERS[2]][lost.field] == lost
    await sqlite_credentials.store.delete(OWNERS[2], lost.field)
    await sqlite_credentials.store.delete(OWNERS[4], lost.field)
    kept = {
        owner: value for owner, value in expected.items() if owner not in {OWNERS[2], OWNERS[4]}
    }
    assert await values(sqlite_credentials, 2) == kept
