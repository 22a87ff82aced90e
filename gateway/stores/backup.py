"""A copy of an SQLite database that is in use.

The rule here: only the owner can read the copy, and it is either complete or not there.
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
    """Write the source's current contents to a file that must not exist yet.

    StoreError if it exists, or if one of the two cannot be read or written.
    """
    if not source.exists():
        raise StoreError(f"{source} is not there; there is nothing to back up.")
    try:
        _refuse_existing(target)  # before the work, and again after it
        # A process killed while copying must leave nothing that looks like a backup.
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
    """Rename the copy unless the name is taken; no hard link, as not every backup disk has them."""
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
