"""Whose journal is whose: a directory for each process, locked for as long as it lives.

The rule here: the lock is the kernel's and goes with the process, whatever ends it. Whoever gets
the lock of a journal that is not theirs has it from somebody who is dead. What is no journal is
nobody's business: the directory may be the root of a disk, or hold other things of the operator's.
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

_NAME = re.compile(r"[0-9a-f]{11,}-[0-9a-f]{12}")  # when it was made, and by chance
_SEGMENT_GLOB = "*.journal"


def make_name(at_ms: int, chance: str) -> str:
    """What a journal is called."""
    return f"{at_ms:011x}-{chance}"


def find_segments(directory: Path) -> list[Path]:
    """The files of a journal, in their order, and what stands in the place of one.

    But no pipe: whoever opens that waits for somebody who writes.
    """
    return sorted(path for path in directory.glob(_SEGMENT_GLOB) if path.is_file() or path.is_dir())


def is_journal(path: Path) -> bool:
    """Whether it is one, also under another name, and not set aside for a person."""
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
        """A new one; OSError when it cannot be made."""
        parent.mkdir(mode=OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
        path = parent / name
        path.mkdir(mode=OWNER_ONLY_DIRECTORY)
        made = cls._lock(path)
        if made is None:  # somebody took it for one that was left
            raise FileExistsError(f"{path} was taken by another process")
        return made

    @classmethod
    def find_left(cls, parent: Path, own: Path) -> Iterator[Self]:
        """Those whose process is dead, each locked before it is given."""
        if not parent.is_dir():  # somebody has deleted it: what has ended is in memory
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
            return None  # gone meanwhile, or somebody else's
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if not _is_there(path, descriptor):  # whoever had it before has removed it
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    @property
    def segments(self) -> list[Path]:
        """The files of its journal, in their order."""
        return find_segments(self.path)

    def remove(self) -> None:
        """Remove the directory and let go of it; what is still in it is for a person to look at."""
        with suppress(FileNotFoundError):  # somebody else was faster
            if any(self.path.iterdir()):
                self.path = self.path.rename(self.path.with_suffix(SET_ASIDE))
            else:
                self.path.rmdir()
        self.release()

    def release(self) -> None:
        """Let go of it: it is anybody's now."""
        os.close(self.descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
