"""From bytes to lines, and from a line to its fields.

The rule here: what is not a line of the gateway's is None, whatever it is; half lines, banners,
tracebacks and other programs' lines are part of every log.
"""

from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec

from gateway.logs.logfmt import parse_logfmt

MAX_LINE_BYTES: Final = 16 * 1024 * 1024  # the longest, with a prompt and an answer, take 12
CHUNK_BYTES: Final = 256 * 1024
MOST_HALVES: Final = 3  # before a line, or blocks in it that begin like one
TOO_LONG: Final = b"?"  # in place of a line that was not kept

# What the gateway's own lines begin with. journalctl, kubectl and compose put something in front.
_BEGIN: Final = b'{"timestamp":'

TOO_DEEP: Final = '"…"'  # in place of a value that is nested a thousand times

_decode = msgspec.json.Decoder(dict[str, Any]).decode

Fields = dict[str, Any]


class ByteSource(Protocol):
    """Something that gives what is there, and nothing at its end."""

    def read1(self, size: int = -1, /) -> bytes:
        """Up to so many bytes, as soon as there are some."""
        ...  # pragma: no cover


class LineCutter:
    """Cuts lines out of pieces; holds one line at most."""

    def __init__(self, *, starts_inside: bool = False) -> None:
        self._rest = b""
        self._drops = starts_inside  # what comes belongs to a line that is not wanted

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends."""
        if not self._rest and piece.startswith(b"\0"):
            # Who writes on after a truncation without O_APPEND leaves a hole before the next line.
            piece = piece.lstrip(b"\0")
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if self._drops and lines:
            self._drops = False
            del lines[0]
        if len(self._rest) > MAX_LINE_BYTES or (self._drops and self._rest):
            if not self._drops:
                lines.append(TOO_LONG)
            self._rest = b""
            self._drops = True
        return lines

    def end(self) -> list[bytes]:
        """The last line, where nothing ended it."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def read_batches(source: ByteSource) -> Iterator[list[bytes]]:
    """Every line of a source; as many at once as came together."""
    cutter = LineCutter()
    while piece := source.read1(CHUNK_BYTES):
        yield cutter.feed(piece)
    yield cutter.end()


def find_object(line: bytes) -> bytes | None:
    """The JSON that the gateway may have written in a line; None where there is none."""
    if line.startswith(b"{"):
        return line
    begin = line.find(_BEGIN)
    return None if begin < 0 else line[begin:]


def find_behind(line: bytes) -> Iterator[bytes]:
    """The lines that may stand behind a half one, which somebody left when they were killed.

    In a text of a whole line none begins: its quotes are escaped.
    """
    begin = 0
    for _ in range(MOST_HALVES):
        begin = line.find(_BEGIN, begin + 1)
        if begin < 0:
            return
        yield line[begin:]


def parse_line(line: bytes) -> Fields | None:
    """The fields of a line, in their order; None for what is not one of the gateway's."""
    written = find_object(line)
    if written is None:
        return parse_logfmt(line)
    try:
        fields = _decode(written)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if type(fields.get("event")) is str and type(fields.get("timestamp")) is str:
        return fields
    return None


def as_text(value: object) -> str:
    """A text as it is; anything else as JSON."""
    return value if isinstance(value, str) else as_json(value)


def as_json(value: object) -> str:
    """A value as JSON."""
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:  # reading it was just possible
        return TOO_DEEP
