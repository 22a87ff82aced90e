"""A copy of an SQLite database that is in use.

The rule here: the copy is the owner's alone, and either whole or not there.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from gateway.stores.errors import StoreError

OWNER_ONLY = 0o600
WAIT_S = 10.0


def back_up_sqlite(source: Path, target: Path) -> None:
    """Write what the source holds at this moment to a file that is not there yet."""
    if not source.exists():
        raise StoreError(f"{source} is not there; there is nothing to back up.")
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY))
    except OSError as error:
        raise StoreError(f"{target}: cannot be made: {error.strerror}") from None
    try:
        _copy(source, target)
    except sqlite3.Error as error:
        target.unlink()
        raise StoreError(f"{source}: cannot be copied: {error}") from None


def _copy(source: Path, target: Path) -> None:
    with (
        contextlib.closing(_connect(source)) as original,
        contextlib.closing(_connect(target)) as copy,
    ):
        original.backup(copy)  # SQLite's online backup: writers may go on
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, not three


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=WAIT_S)
