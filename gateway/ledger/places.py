"""Which journal belongs to whom: each process has a directory, locked for as long as it lives.

The rule here: the kernel holds the lock and releases it when the process ends, however it ends. So
if we can lock another journal, its process is dead. Everything that is not a journal is left alone:
the directory may be the root of a disk or hold other things of the operator's.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from gateway.ledger.segment import SET_ASIDE

OWNER_ONLY_DIRECTORY = 0o700

_NAME = re.compile(r"[0-9a-f]{11,}-[0-9a-f]{12}")  # creation time and a random part
_SEGMENT_GLOB = "*.journal"


def make_name(at_ms: int, chance: str) -> str:
    """The name of a journal's directory."""
    return f"{at_ms:011x}-{chance}"


def find_segments(directory: Path) -> list[Path]:
    """The files of a journal in order, including a directory where a file should be.

    Pipes are left out, because opening one waits for a writer.
    """
    return sorted(path for path in directory.glob(_SEGMENT_GLOB) if path.is_file() or path.is_dir())


def is_journal(path: Path) -> bool:
    """Whether this is a journal, even if renamed, but not one that was set aside for a person."""
    if path.suffix == SET_ASIDE or path.is_symlink() or not path.is_dir():
        return False
    has_our_name = _NAME.fullmatch(path.name) is not None
    return has_our_name or any(one.is_file() for one in find_segments(path))


class Place:
    """A locked directory."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    @classmethod
    def make(cls, parent: Path, name: str) -> Self:
        """Create and lock a new directory; OSError if that fails."""
        parent.mkdir(mode=OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
        path = parent / name
        path.mkdir(mode=OWNER_ONLY_DIRECTORY)
        made = cls._lock(path)
        if made is None:  # somebody took it for an abandoned one
            raise FileExistsError(f"{path} was taken by another process")
        return made

    @classmethod
    def find_left(cls, parent: Path, own: Path) -> Iterator[Self]:
        """The directories of dead processes, each locked before it is yielded."""
        if not parent.is_dir():  # somebody has deleted it
            return
        for path in sorted(parent.iterdir()):
            if path == own or not is_journal(path):
                continue
            left = cls._lock(path)
            if left is not None:
                yield left

    @classmethod
    def _lock(cls, path: Path) -> Self | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, PermissionError):
            return None  # it is gone, or somebody else's
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if not _is_there(path, descriptor):  # the previous owner has removed it
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    @property
    def segments(self) -> list[Path]:
        """The files of its journal, in order."""
        return find_segments(self.path)

    def remove(self) -> None:
        """Remove and release the directory; one with files left is set aside for a person."""
        with suppress(FileNotFoundError):  # somebody else was faster
            if any(self.path.iterdir()):
                self.path = self.path.rename(self.path.with_suffix(SET_ASIDE))
            else:
                self.path.rmdir()
        self.release()

    def release(self) -> None:
        """Release the lock: anybody may take the directory now."""
        os.close(self.descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
