"""A copy of an SQLite database that is in use.

The rule here: the copy is the owner's alone, and either whole or not there.
"""

import contextlib
import errno
import os
import sqlite3
import tempfile
from pathlib import Path
from urllib.parse import quote

from gateway.stores.errors import StoreError

OWNER_ONLY = 0o600
WAIT_S = 10.0


def back_up_sqlite(source: Path, target: Path) -> None:
    """Write what the source holds at this moment to a file that is not there yet.

    StoreError when it is, or when one of the two cannot be read or written.
    """
    if not source.exists():
        raise StoreError(f"{source} is not there; there is nothing to back up.")
    try:
        _refuse_existing(target)  # before the work, and once more after it
        # Whoever is killed while copying leaves nothing that looks like a backup.
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
        try:
            _copy(source, Path(name))
            os.fsync(handle)
            _put(Path(name), target)
        finally:
            os.close(handle)
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{target}: cannot be made: {error.strerror}") from None
    except sqlite3.Error as error:
        raise StoreError(f"{source}: cannot be copied: {error}") from None


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _put(copy: Path, target: Path) -> None:
    """Give the copy its name, unless somebody else has it; not every disk for backups has links."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY))
    copy.replace(target)


def _copy(source: Path, target: Path) -> None:
    with (
        contextlib.closing(_connect(source)) as original,
        contextlib.closing(_connect(target)) as copy,
    ):
        original.backup(copy)  # SQLite's online backup: writers may go on
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, not three


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=WAIT_S)
