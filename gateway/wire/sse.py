"""Server-sent events: bytes in, whole events out.

The rule here: no byte is changed, lost or added. Everything `feed` returned plus what is still held
equals everything it was fed, wherever the input was cut.
"""

import re

# A blank line ends an event; a line ends with CRLF, LF or CR (WHATWG HTML, server-sent events). A
# CRLF is never two line ends. After a CRLF, a CR at the end of a read is taken for the first half
# of another CRLF; cut off from its LF, it would leave the event without its end.
_EVENT_END = re.compile(rb"\r\n(?:\r\n|\n|\r(?!\Z))|\n(?<!\r\n)(?>\r\n|\n|\r)|\r(?>\r\n|\r)")

# An event larger than this (base64 images, encrypted reasoning) is relayed in pieces and not read,
# which limits the memory of each stream.
MAX_HELD_BYTES = 256 * 1024
# The longest sequence that may be the unfinished end of an event: CR LF CR.
UNFINISHED_END_BYTES = 3

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Fragment(bytes):
    """A piece of an event that was too large to hold whole."""


class EventSplitter:
    """Splits one stream into events."""

    __slots__ = ("_held", "_in_giant", "_max_held_bytes", "_scanned", "at_boundary")

    def __init__(self, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._held = bytearray()
        self._scanned = 0  # no event ends before this offset of `_held`
        self.at_boundary = True  # between two events, where we may write something of our own
        self._in_giant = False
        self._max_held_bytes = max_held_bytes

    @property
    def is_in_giant(self) -> bool:
        """True if part of a giant event was returned and its end has not arrived."""
        return self._in_giant

    @property
    def held(self) -> bytes:
        """The beginning of an event whose end has not arrived."""
        return bytes(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The events (and `Fragment`s of giant ones) that `data` completes, in order."""
        if self.at_boundary and data.endswith(b"\n\n") and b"\r" not in data:
            # Nearly every read holds whole events with plain line ends: 0.4 µs instead of 2.
            bare = data.split(b"\n\n")
            if not bare.pop():  # not after three line ends in a row: the last begins an event
                return [event + b"\n\n" for event in bare]
        self._held += data
        events = self._cut()
        self.at_boundary = not self._held  # of a giant's beginning some bytes stay
        return events

    def _cut(self) -> list[bytes]:
        events: list[bytes] = []
        start = 0
        found = _EVENT_END.search(self._held, self._scanned)
        while found is not None:
            event = bytes(self._held[start : found.end()])
            events.append(Fragment(event) if self._in_giant else event)
            self._in_giant = False
            start = found.end()
            found = _EVENT_END.search(self._held, start)
        del self._held[:start]
        if len(self._held) > self._max_held_bytes or self._in_giant:
            events.extend(self._release_giant())
        self._scanned = max(0, len(self._held) - UNFINISHED_END_BYTES)
        return events

    def _release_giant(self) -> list[bytes]:
        keep = len(self._held) - UNFINISHED_END_BYTES
        if keep <= 0:
            return []
        self._in_giant = True
        piece = Fragment(self._held[:keep])
        del self._held[:keep]
        return [piece]


def parse_event(event: bytes) -> tuple[bytes, bytes | None]:
    """The event's type (`b""` if it has none) and its data (None if it has no data line)."""
    end = len(event) - 2
    if event.startswith(b"data: ") and event.find(b"\n") == end and b"\r" not in event:
        return b"", event[6:end]
    return _parse_lines(event.removeprefix(BYTE_ORDER_MARK).splitlines())


def _parse_lines(lines: list[bytes]) -> tuple[bytes, bytes | None]:
    kind = b""
    data: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value.strip()
    return kind, b"\n".join(data) if data else None
