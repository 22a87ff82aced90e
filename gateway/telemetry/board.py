"""What several workers tell each other, in memory that all of them have.

The rule here: a worker writes its own place and no other one's, and never over what can be read: a
kill in the middle of writing leaves what was written before.
"""

import os
import struct
import tempfile
import zlib
from multiprocessing.reduction import DupFd
from typing import Any

from typing_extensions import override

MAX_BYTES = 8 * 1024 * 1024  # of one report; memory is taken for what is written alone
TRIES = 3

HEAD = struct.Struct("<QQI")  # number, length, checksum
HALF = HEAD.size + MAX_BYTES
FLAG = 64
BEATS = 8  # bytes of their number
BEATS_AT = 8  # beside the flag
_PLACE = FLAG + 2 * HALF
_GONE, _THERE = b"\1", b"\0"


class Board:
    """One place for each worker; made by the supervisor and handed to each of them.

    Behind those, with their number as its own, is one of the supervisor's.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self.file = _make_file()

    @override
    def __getstate__(self) -> tuple[int, Any]:
        return self.places, DupFd(self.file)

    def __setstate__(self, state: tuple[int, Any]) -> None:
        self.places, handed = state
        self.file = handed.detach()

    def close(self) -> None:
        """Let go of it; the last one frees the memory."""
        os.close(self.file)

    def write(self, place: int, report: bytes) -> bool:
        """Put a report in the place of the last but one; False when there is no room for it."""
        if len(report) > MAX_BYTES:
            return False
        try:
            return self._write(place, report)
        except OSError:  # no memory is left; the report before it stays
            return False

    def _write(self, place: int, report: bytes) -> bool:
        start = place * _PLACE + FLAG
        number = self.number_of(place) + 1
        half = start + number % 2 * HALF
        if os.pwrite(self.file, report, half + HEAD.size) < len(report):
            return False  # where memory ends in the middle, the kernel says so with a number alone
        os.pwrite(self.file, HEAD.pack(number, len(report), zlib.crc32(report)), half)
        os.pwrite(self.file, _THERE, place * _PLACE)
        return True

    def read(self, place: int) -> bytes | None:
        """The last whole report of a place; None where there is none."""
        start = place * _PLACE + FLAG
        for _ in range(TRIES):  # it may be written twice while it is read
            for number, length, checksum in sorted(self._read_heads(start), reverse=True):
                half = start + number % 2 * HALF
                report = os.pread(self.file, length, half + HEAD.size)
                if zlib.crc32(report) == checksum:
                    return report
        return None

    def number_of(self, place: int) -> int:
        """How often something was written there."""
        return max(self._read_heads(place * _PLACE + FLAG), default=(0, 0, 0))[0]

    def mark_gone(self, place: int) -> None:
        """Whoever wrote there has died; for the supervisor."""
        os.pwrite(self.file, _GONE, place * _PLACE)

    def is_gone(self, place: int) -> bool:
        """Whether whoever wrote there has died, and nobody has written since."""
        return os.pread(self.file, 1, place * _PLACE) == _GONE

    def await_beats(self, place: int) -> None:
        """Somebody new is about to have the place; for the supervisor.

        From here on the memory for its beats is there, so that none of them can fail.
        """
        self.beat(place, 0)

    def beat(self, place: int, count: int) -> None:
        """The event loop of whoever has this place has come round, so many times."""
        os.pwrite(self.file, count.to_bytes(BEATS, "little"), place * _PLACE + BEATS_AT)

    def count_beats(self, place: int) -> int:
        """How many times the loop of whoever has this place came round; 0 before the first."""
        raw = os.pread(self.file, BEATS, place * _PLACE + BEATS_AT)
        return int.from_bytes(raw, "little")  # nothing, where nobody has written yet

    def _read_heads(self, start: int) -> list[tuple[int, int, int]]:
        raw = (os.pread(self.file, HEAD.size, start + half * HALF) for half in (0, 1))
        heads = [HEAD.unpack(head) for head in raw if len(head) == HEAD.size]
        return [(number, length, checksum) for number, length, checksum in heads if number]


def _make_file() -> int:
    """A file without a name: it is gone with the last process that has it open."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gateway-workers")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
