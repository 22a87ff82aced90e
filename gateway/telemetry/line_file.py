"""A file or pipe that takes whole lines.

The rule here: however many processes write there, no line stands inside another.
"""

import errno
import fcntl
import os
import select
from collections.abc import Iterable, Iterator

# What one write may take. Others that write there wait for it.
PIECE_BYTES = 64 * 1024
POLL_MS = 1_000
NEWLINE = ord("\n")
# What goes away by itself: somebody makes room. The lines wait for it.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.ENOBUFS})


class LineFile:
    """Writes lines to a descriptor, each with its line break, and remembers where it was cut off.

    `is_shared` says that other processes write there too, `is_owned` that `close` closes it.
    """

    def __init__(self, descriptor: int, *, is_shared: bool = False, is_owned: bool = False) -> None:
        self._descriptor = descriptor
        self._is_shared = is_shared
        self._is_owned = is_owned
        self._left: list[bytes] = []  # what is to be written before anything else
        self.left_bytes = 0
        self._is_inside = False  # a half line is the last that was written
        self._begins_anew = False  # and its other half is not going to be

    def put(self, lines: Iterable[bytes]) -> None:
        """Have these written next."""
        for joined in _join(lines):
            piece = b"\n" + joined if self._begins_anew else joined
            self._begins_anew = False
            self._left.append(piece)
            self.left_bytes += len(piece)

    def write(self) -> None:
        """Write what is to be written; OSError when that failed, and then the rest is kept."""
        while self._left:
            piece = self._left[0]
            with _Turn(self._descriptor, is_wanted=self._is_shared):
                try:
                    self._write_piece(piece)
                except OSError:
                    self.left_bytes += len(self._left[0]) - len(piece)
                    raise
            del self._left[0]
            self.left_bytes -= len(piece)

    def forget(self) -> int:
        """Let go of what is left; how many lines that were."""
        # A line break at the beginning ends a half line that is there; no line has one.
        lines = sum(piece.lstrip(b"\n").count(b"\n") for piece in self._left)
        self._left, self.left_bytes = [], 0
        self._begins_anew = self._is_inside
        return lines

    def close(self) -> None:
        """Let go of the descriptor, where it is our own."""
        if self._is_owned:
            self._is_owned = False
            os.close(self._descriptor)

    def _write_piece(self, piece: bytes) -> None:
        written = 0
        try:
            while written < len(piece):
                try:
                    written += os.write(self._descriptor, piece[written:] if written else piece)
                except BlockingIOError:  # a terminal or pipe that somebody made so
                    _wait_for_room(self._descriptor)
        except OSError:
            self._left[0] = self._rest_of(piece, written)
            raise
        finally:
            if written:
                self._is_inside = piece[written - 1] != NEWLINE

    def _rest_of(self, piece: bytes, written: int) -> bytes:
        begins_at = piece.rfind(b"\n", 0, written) + 1
        if begins_at == written or not self._is_shared:
            return piece[written:]
        # Somebody else's line will stand behind the half one: it is written again, on its own.
        return b"\n" + piece[begins_at:]


class _Turn:
    """A lock among processes, which ends with whoever has it.

    A pipe takes at most PIPE_BUF bytes (4 KiB) in one piece when it is nearly full (pipe(7)); a
    traceback is longer.
    """

    def __init__(self, descriptor: int, *, is_wanted: bool) -> None:
        self._descriptor = descriptor
        self._is_wanted = is_wanted

    def __enter__(self) -> None:
        if self._is_wanted:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX)  # 1 µs with its counterpart
            except OSError:  # not where it goes, or not on this system: then without
                self._is_wanted = False

    def __exit__(self, *_: object) -> None:
        if self._is_wanted:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def _join(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines in pieces for one write each."""
    piece: list[bytes] = []
    piece_bytes = 0
    for line in lines:
        if piece and piece_bytes + len(line) > PIECE_BYTES:
            yield b"".join(piece)
            piece, piece_bytes = [], 0
        piece.append(line)
        piece_bytes += len(line)
    if piece:
        yield b"".join(piece)


def _wait_for_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll(POLL_MS)
