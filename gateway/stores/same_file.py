"""Whether a database is still the file of its name.

The rule here: what was moved away or replaced is nobody's database any more. Whoever went on with
it would let in keys that have ended since, and book where nobody looks; and whoever opened what is
in its place would have SQLite write the log of the old file into it. So the store is down.
"""

import errno
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


class SameFile:
    """Looks at the file each time that a connection is made, or taken out of the pool."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._opened: tuple[int, int] | None = None  # device and inode, once it is in use

    def watch(self, engine: AsyncEngine) -> None:
        """Have every connection of an engine looked after."""
        event.listen(engine.sync_engine, "do_connect", self._check)
        event.listen(engine.sync_engine, "checkout", self._note)

    def _note(self, *_: object) -> None:
        self._check()
        # Not before: a file of a lower layer (overlayfs) has another inode once it was opened.
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
