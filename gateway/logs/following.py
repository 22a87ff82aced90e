"""New lines of files as they are written, across rotation.

The rule here: a file is known by its inode and its beginning, so that one that was renamed, or
emptied and filled anew, is noticed whenever it is looked at. A look costs 5 µs, and works where
inotify does not: in containers and over a network.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.logs.lines import CHUNK_BYTES, LineCutter

LOOK_EVERY_S: Final = 0.1
BEGIN_BYTES: Final = 64  # they hold a timestamp, and so are never the same in two files
LEAVE_AFTER: Final = 100  # looks at a renamed file that bring nothing: who wrote it has moved on

Batches = Iterator[list[bytes]]


class OpenFile:
    """One file that somebody writes to, whatever it is called by now."""

    def __init__(self, descriptor: int, start: int = 0) -> None:
        """Reads from `start` on; the line that `start` is inside of is not wanted."""
        self._descriptor = descriptor
        self._position = start
        self._cutter = LineCutter(starts_inside=start > 0)
        self._begin = os.pread(descriptor, min(start, BEGIN_BYTES), 0)
        found = os.fstat(descriptor)
        self.identity = (found.st_dev, found.st_ino)
        self.quiet_looks = 0

    def read(self) -> Batches:
        """What was written since the last time."""
        self.quiet_looks += 1
        if self._was_emptied():
            yield self._cutter.end()
            self._position, self._begin, self._cutter = 0, b"", LineCutter()
        while piece := os.pread(self._descriptor, CHUNK_BYTES, self._position):
            self.quiet_looks = 0
            missing = BEGIN_BYTES - len(self._begin)
            if missing > 0 and self._position == len(self._begin):
                self._begin += piece[:missing]
            self._position += len(piece)
            yield self._cutter.feed(piece)

    def close(self) -> list[bytes]:
        """Let go of it; gives a last line that nothing ended."""
        os.close(self._descriptor)
        return self._cutter.end()

    def _was_emptied(self) -> bool:
        if os.fstat(self._descriptor).st_size < self._position:
            return True
        # It may have grown past that place since: then it begins with another line.
        return os.pread(self._descriptor, len(self._begin), 0) != self._begin


class Tail:
    """One path that is followed, and the files that were there before."""

    def __init__(self, path: Path, *, last_bytes: int | None, say: Callable[[str], None]) -> None:
        """Begins with the last bytes of what is there; None: with all of it."""
        self._path = path
        self._last_bytes = last_bytes
        self._say = say
        self._current: OpenFile | None = None
        self._renamed: list[OpenFile] = []
        self._said = ""

    def read(self) -> Batches:
        """What was written since the last time."""
        for renamed in self._renamed:
            yield from renamed.read()
        if self._current is not None:
            yield from self._current.read()
        following = self._open_another()
        if following is not None:
            if self._current is not None:
                self._renamed.append(self._current)
            self._current = following
            yield from following.read()
        yield from self._leave()

    def close(self) -> None:
        """Let go of everything."""
        for file in (*self._renamed, self._current):
            if file is not None:
                file.close()
        self._renamed, self._current = [], None

    def _open_another(self) -> OpenFile | None:
        """The file of that name, where it is not the one that is read."""
        try:
            found = self._path.stat()
            if self._current is not None and self._current.identity == (found.st_dev, found.st_ino):
                return None
            if not stat.S_ISREG(found.st_mode):
                self._say_once(f"{self._path} is no file; waiting for one.")
                return None
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._say_once(f"{self._path} cannot be read now ({error.strerror}); waiting for it.")
            return None
        self._said = ""
        start = 0
        if self._last_bytes is not None:
            # One byte earlier: where a line begins there, its predecessor's end is what is dropped.
            start = max(0, os.fstat(descriptor).st_size - self._last_bytes - 1)
        self._last_bytes = None  # what comes in its place is new from its beginning
        opened = OpenFile(descriptor, start)
        if self._current is not None and opened.identity == self._current.identity:
            opened.close()  # it was renamed back in between
            return None
        return opened

    def _leave(self) -> Batches:
        for renamed in [file for file in self._renamed if file.quiet_looks > LEAVE_AFTER]:
            self._renamed.remove(renamed)
            yield renamed.close()

    def _say_once(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            self._say(sentence)


def wait_a_little() -> None:
    """Until the next look."""
    time.sleep(LOOK_EVERY_S)  # a file tells nobody; why not inotify: docs/inside/decisions.md


def follow(
    tails: Sequence[Tail], wait: Callable[[], None] = wait_a_little
) -> Iterator[list[bytes] | None]:
    """Every line, for ever; None whenever all that is there was given."""
    try:
        while True:
            for tail in tails:
                yield from tail.read()
            yield None
            wait()
    finally:
        for tail in tails:
            tail.close()
