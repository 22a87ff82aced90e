"""A pepper that is another one is found before a key is refused for it."""

from collections.abc import Mapping

import pytest
from typing_extensions import override

from gateway.stores.checking_peppers import check_peppers
from gateway.stores.errors import StoreDownError, StoreError
from gateway.stores.keys import KeyStore
from gateway.stores.opening import OpenKeys
from gateway.stores.peppers import Peppers
from gateway.stores.sql_keys import SqlKeyStore
from tests.plugins.stored_keys import NOW, PEPPER, new_key

OTHER = Peppers({1: PEPPER[::-1], 2: PEPPER})


async def test_another_pepper_than_keys_need_is_said(opened: OpenKeys) -> None:
    """With its version, and it stays what it was for the next one who comes with it."""
    _, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)

    for _ in range(2):
        with pytest.raises(
            StoreError, match="another pepper as version 1 than stored keys"
        ) as said:
            await check_peppers(opened.store, OTHER, {1, 2})

    assert PEPPER[::-1] not in str(said.value)
    await check_peppers(opened.store, opened.peppers, {1})


async def test_another_pepper_that_no_working_key_needs_is_taken(opened: OpenKeys) -> None:
    """A mistake that is found before the first key, or after the last one, costs nothing."""
    await check_peppers(opened.store, OTHER, {1})
    assert await opened.store.fetch_pepper_checks() == {1: OTHER.checks[1]}
    _, stored = new_key(OTHER)
    await opened.store.save_key(stored)
    await opened.store.disable_key(stored.name, NOW)

    await check_peppers(opened.store, opened.peppers, {1})

    assert await opened.store.fetch_pepper_checks() == opened.peppers.checks


class FullStore(SqlKeyStore):
    """Answers, and takes nothing."""

    def __init__(self, behind: KeyStore) -> None:
        assert isinstance(behind, SqlKeyStore)
        super().__init__(behind._database)  # noqa: SLF001 - the same one

    @override
    async def save_pepper_checks(self, checks: Mapping[int, bytes]) -> None:
        raise StoreDownError("gateway.db: database or disk is full")


async def test_a_full_disk_stops_no_start(sqlite_keys: OpenKeys) -> None:
    """What cannot be kept now is kept at the next one."""
    await check_peppers(FullStore(sqlite_keys.store), OTHER, {1, 2})

    assert await sqlite_keys.store.fetch_pepper_checks() == sqlite_keys.peppers.checks
