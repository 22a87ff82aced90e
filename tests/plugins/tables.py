"""Databases that have the gateway's tables already.

The rule here: the tables are made by the gateway's own migrations, once in each test process, and
then an SQLite file is a copy. Who tests how tables are made makes them.
"""

import os
import tempfile
from pathlib import Path

from gateway.config.stores import DatabaseAddress
from gateway.stores.database import OWNER_ONLY, make_sqlite_file, open_database
from gateway.stores.schema import upgrade_schema

_FILES: dict[str, bytes] = {}  # what an SQLite file holds whose tables have been made


async def lay_tables(address: DatabaseAddress) -> None:
    """Make the tables of an empty database; an SQLite file may not be there yet."""
    if address.file is None or address.file.exists():
        await _upgrade(address)
        return
    if not _FILES:
        with tempfile.TemporaryDirectory(prefix="gateway-tables-") as directory:
            made = Path(directory) / "gateway.db"
            await _upgrade(DatabaseAddress(shown=made.name, file=made))
            _FILES[made.name] = made.read_bytes()
    (content,) = _FILES.values()
    descriptor = os.open(address.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


async def _upgrade(address: DatabaseAddress) -> None:
    make_sqlite_file(address)
    database = open_database(address, timeout_s=10)
    await upgrade_schema(database)
    await database.close()
