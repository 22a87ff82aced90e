"""What a command reads from and writes to, however it was started.

The rule here: before a command runs, all three streams are there and take any text.
"""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator

_MODES = ("r", "w", "w")  # of 0, 1 and 2
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def prepare_streams() -> None:
    """Put what swallows everything in the place of a closed stream, and have none refuse a letter.

    A closed one is None, which nobody can write to, and its number would go to the next file or
    socket that is opened.
    """
    for number, mode in enumerate(_MODES):
        _open_closed(number, mode)
    for stream in (sys.stdout, sys.stderr):
        # Of an encoding that has not every letter: a question mark, where half an answer would be.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


@contextlib.contextmanager
def refuse_full_disk() -> Iterator[None]:
    """End with a sentence where there is no room for what a command writes."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _drop_rest()
        sys.exit(f"gateway: cannot write: {os.strerror(error.errno)}")


def _open_closed(number: int, mode: str) -> None:
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        name = ("stdin", "stdout", "stderr")[number]
        setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _drop_rest() -> None:
    """What is still to be written would fail again, when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
