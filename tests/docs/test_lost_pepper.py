"""What a page says to do when a pepper is lost for good."""

import contextlib
import re
import sqlite3
from pathlib import Path

from gateway.stores.opening import open_keys
from tests.docs.pages import read
from tests.plugins.stored_keys import ENVIRON, new_key, spec_of


async def test_keys_of_a_lost_pepper_end_in_gateways_that_run(tmp_path: Path) -> None:
    """One that does not hear of the change would let a key in for as long as it is used."""
    page = read("docs/configure/keys.md")
    found = re.search(r'^sqlite3 gateway\.db "(UPDATE gateway_keys [^"]+)"', page, re.MULTILINE)
    assert found is not None
    opened = await open_keys(spec_of(f"sqlite:///{tmp_path / 'gateway.db'}"), ENVIRON, timeout_s=5)
    for name in ("alice", "bob"):
        await opened.store.save_key(new_key(opened.peppers, name)[1])
    await opened.store.disable_key("bob", 1)
    seen = await opened.store.fetch_revision()

    with contextlib.closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        connection.execute(found[1])
        connection.commit()

    changes = await opened.store.fetch_changes(seen)
    assert (changes.revision, changes.names) == (seen + 1, {"alice"})
    assert await opened.store.find_working_peppers({1}, 1) == frozenset()
    await opened.store.close()
