"""One file of a journal.

The rule here: a line is either in the file or not. A partly written line is removed, and if even
that fails, the next record starts on a new line.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from gateway.ledger.lines import BLOCK_BYTES, read_block
from gateway.ledger.records import Record, decode_payload

OWNER_ONLY = 0o600
SET_ASIDE = ".damaged"


class Segment:
    """An open file; `read_bytes` of its `size_bytes` have been read."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size_bytes = os.fstat(descriptor).st_size
        self.read_bytes = 0
        self.damaged = 0  # how many lines could not be read
        self._is_torn = False

    @classmethod
    def create(cls, path: Path) -> "Segment":
        """A new file that only its owner can read."""
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND
        return cls(path, os.open(path, flags, OWNER_ONLY))

    @classmethod
    def open(cls, path: Path) -> "Segment":
        """A file that another process left, opened for reading."""
        return cls(path, os.open(path, os.O_RDONLY))

    @property
    def is_read(self) -> bool:
        """Whether there is nothing left to read."""
        return self.read_bytes == self.size_bytes

    def append(self, line: bytes) -> None:
        """Add a line; OSError if it could not be written completely."""
        if self._is_torn:
            line = b"\n" + line
        written = os.write(self.descriptor, line)
        if written == len(line):
            self.size_bytes += written
            self._is_torn = False
            return
        try:
            os.ftruncate(self.descriptor, self.size_bytes)
        except OSError:
            self.size_bytes += written
            self._is_torn = True
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read(self) -> list[Record] | None:
        """The records of the next complete lines, now marked as read; None if there are none."""
        left = min(self.size_bytes - self.read_bytes, BLOCK_BYTES)
        block = read_block(os.pread(self.descriptor, left, self.read_bytes))
        if not block.read_bytes:
            return None
        self.read_bytes += block.read_bytes
        rows = [row for row in map(decode_payload, block.payloads) if row is not None]
        self.damaged += block.damaged + len(block.payloads) - len(rows)
        return rows

    def skip_rest(self) -> int:
        """Skip an unfinished line at the end; returns its size in bytes."""
        torn = self.size_bytes - self.read_bytes
        self.read_bytes = self.size_bytes
        return torn

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    def remove(self) -> None:
        """Close the file and delete it; a damaged one is set aside for a person."""
        with suppress(FileNotFoundError):  # somebody else was faster
            if self.damaged:
                self.path.rename(self.path.with_suffix(SET_ASIDE))
            else:
                self.path.unlink()
        self.close()
