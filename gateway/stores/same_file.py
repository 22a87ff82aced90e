"""Whether a database file is still the one at its path.

The rule here: if the file was moved away or replaced, the store counts as down. Using the old file
would admit keys that have ended since, and book where nobody looks. Opening the new file would have
SQLite write the old file's log into it.
"""

import errno
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


class SameFile:
    """Checks the file each time a connection is made or taken from the pool."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._opened: tuple[int, int] | None = None  # device and inode, once it is in use

    def watch(self, engine: AsyncEngine) -> None:
        """Check the file for every connection of an engine."""
        event.listen(engine.sync_engine, "do_connect", self._check)
        event.listen(engine.sync_engine, "checkout", self._note)

    def _note(self, *_: object) -> None:
        self._check()
        # Only now: a file from a lower layer of overlayfs gets another inode when it is opened.
        if self._opened is None:
            self._opened = self._identify()

    def _check(self, *_: object) -> None:
        """Raise OSError unless it is the file that was opened first."""
        which = self._identify()
        if self._opened is not None and which != self._opened:
            raise OSError(
                errno.ESTALE,
                "another file was put in its place; restart the gateway to use that one",
            )

    def _identify(self) -> tuple[int, int]:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            raise OSError(errno.ENOENT, "the file is not there any more") from None
        return found.st_dev, found.st_ino
