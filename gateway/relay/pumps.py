"""Turning a provider's bytes into the caller's, one class per dialect.

The rule here: no sockets and no clock. `feed` returns what may go downstream now; what must not
be sent until the answer is known to be complete stays inside.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import override

from gateway.core.trace import Answered
from gateway.core.usage import Usage
from gateway.wire.answered import read_ending
from gateway.wire.chunk import CONTENT, DONE, FAULT, GIANT, UNREADABLE, USAGE, StreamReader
from gateway.wire.masking import mask_event, mask_fault
from gateway.wire.sse import BYTE_ORDER_MARK, MAX_HELD_BYTES, EventSplitter
from gateway.wire.text_encoder import TextEncoder

# The largest event that text is read from. An event may hold an image of two megabytes beside
# the words of the answer; skipping it would lose the words too.
MAX_TEXT_EVENT_BYTES = 4 * 1024 * 1024
# The kinds of event that end a text answer, for better or worse.
_ENDS = frozenset({DONE, FAULT, UNREADABLE, GIANT})


class Pump(abc.ABC):
    """One stream of one attempt."""

    __slots__ = (
        "_reader",
        "_splitter",
        "is_plain",
        "is_unreadable",
        "saw_content",
        "saw_end",
    )

    may_join = False  # False: the caller sees where pieces begin, so keep them apart

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._reader = StreamReader()
        # The last `feed` held content and nothing else, so nothing in it needs checking.
        self.is_plain = False
        # The last `feed` that was not plain held content (`saw_content`), or the terminator, an
        # error or something unreadable (`saw_end`).
        self.saw_content = False
        self.saw_end = False
        self.is_unreadable = False  # there was an event that this dialect cannot carry

    def listen_with(self, reader: StreamReader) -> None:
        """Use this reader from the first byte on."""
        self._reader = reader

    @abc.abstractmethod
    def feed(self, body: bytes) -> list[bytes]:
        """What may go downstream now, in the pieces in which the caller gets it."""

    @property
    @abc.abstractmethod
    def feed_chunk(self) -> Callable[[bytes], bytes | None]:
        """The function for a read that is exactly one HTTP chunk with plain content.

        It returns what may go downstream, framed, or b"" for nothing. It returns None for any
        other read, and has then consumed nothing. Callers may keep it: each look-up costs a frame.
        """

    @property
    @abc.abstractmethod
    def chunk_bytes(self) -> int:
        """How many bytes `feed_chunk` has returned, without the framing."""

    @property
    def is_between_events(self) -> bool:
        """True when the next byte must begin an event."""
        return self._splitter.at_boundary

    @abc.abstractmethod
    def finish(self) -> list[bytes]:
        """The rest, once the framing has ended; check `is_complete` afterwards."""

    def keep_alive(self) -> bytes:
        """A comment that may be written now; b"" if one does not fit here."""
        return b""

    @property
    def has_content(self) -> bool:
        """True once the content that the caller waits for has arrived: the commit point."""
        return self._reader.content_events > 0

    @property
    def fault_was_relayed(self) -> bool:
        """True when the caller was sent the provider's own error."""
        return False

    @property
    def left_event_open(self) -> bool:
        """True when the caller has only part of an event, so that ours would become part of it."""
        return False

    @property
    def content_events(self) -> int:
        """How many events with content have arrived."""
        return self._reader.content_events

    @property
    def is_complete(self) -> bool:
        """True when the answer would be complete if its framing ended here."""
        return self._reader.is_complete and not self.is_unreadable

    @property
    def fault(self) -> Any:  # noqa: ANN401 - the provider's own shape
        """The error that the provider sent inside the stream; None if it sent none."""
        return self._reader.fault

    @property
    def usage(self) -> Usage | None:
        """The provider's count, or our estimate if there was content but no count."""
        return self._reader.settle_usage()

    @property
    def answered(self) -> Answered:
        """What the answer says about itself."""
        return read_ending(self._reader.ending, self._reader.finish_reasons)

    @property
    def counted(self) -> Usage | None:
        """The provider's count, without any estimate."""
        return self._reader.usage

    @property
    def tokens_seen(self) -> int:
        """Our estimate of the answer's length so far."""
        return self._reader.count_tokens()


class OpenAIPump(Pump):
    """The provider's own events in their own order, with two changes.

    A usage chunk that the caller did not ask for is left out, and the terminator is held until the
    framing ends, so that a broken stream never shows one.
    """

    __slots__ = (
        "_fault_was_relayed",
        "_has_begun",
        "_has_commented",
        "_secrets",
        "_tail",
        "_tail_bytes",
        "_wants_usage",
    )
    may_join = True

    def __init__(self, *, wants_usage: bool, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._wants_usage = wants_usage
        self._secrets = secrets  # masked in every event but content
        self._tail: list[bytes] = []  # the terminator and whatever follows it
        self._tail_bytes = 0
        self._fault_was_relayed = False
        self._has_begun = False  # the provider has sent an event
        self._has_commented = False  # we wrote a comment before it

    @override
    def feed(self, body: bytes) -> list[bytes]:
        reader, splitter = self._reader, self._splitter
        if (
            reader.content_events  # events before the first content are seldom plain
            and splitter.at_boundary
            and not self._tail
            and reader.read_plain(body)
        ):
            self.is_plain = True
            return [body]
        return self._take_all(splitter.feed(body))

    @property
    @override
    def feed_chunk(self) -> Callable[[bytes], bytes | None]:
        return self._reader.read_framed  # the provider's own framing is as good as ours

    @property
    @override
    def chunk_bytes(self) -> int:
        return self._reader.framed_bytes

    @property
    @override
    def is_between_events(self) -> bool:
        return self._splitter.at_boundary and not self._tail

    @override
    def finish(self) -> list[bytes]:
        held = self._splitter.held
        relayed = self._take_all([held]) if held else []  # a last event without its blank line
        if not self.is_complete:
            # Readers ignore an event without its end, even if it is the provider's error.
            self._fault_was_relayed = False
            return []
        relayed += self._tail
        return [b"".join(relayed)] if relayed else []

    @override
    def keep_alive(self) -> bytes:
        if self._tail or not self._splitter.at_boundary:
            return b""
        self._has_commented = True
        return b": keep-alive\n\n"

    @property
    @override
    def fault_was_relayed(self) -> bool:
        return self._fault_was_relayed

    @property
    @override
    def left_event_open(self) -> bool:
        return self._splitter.is_in_giant

    def _take_all(self, events: list[bytes]) -> list[bytes]:
        self.is_plain = self.saw_content = self.saw_end = False
        if not self._has_begun and events:
            self._begin(events)
        read = self._reader.read
        relayed: list[bytes] = []
        for event in events:
            kind = read(event)
            if kind is not CONTENT and kind is not GIANT:
                if kind is USAGE and not self._wants_usage:
                    continue
                mask = mask_fault if kind is FAULT else mask_event
                event = mask(event, self._secrets)  # noqa: PLW2901 - the same event
            if kind is DONE or self._tail:
                self._hold_back(event)
            else:
                relayed.append(event)
                if kind is CONTENT or kind is GIANT:
                    self.saw_content = True
            if kind is FAULT:
                self.saw_end = True
                self._fault_was_relayed = self._reader.fault_is_plain and not self._tail
                break
        return [b"".join(relayed)] if len(relayed) > 1 else relayed

    def _begin(self, events: list[bytes]) -> None:
        self._has_begun = True
        if self._has_commented:
            # A byte order mark is valid only at the very start; our comment is there now, and a
            # reader would lose the event that begins with one.
            first = events[0]  # part of a giant event is of a type of its own: keep the type
            events[0] = type(first)(first.removeprefix(BYTE_ORDER_MARK))

    def _hold_back(self, event: bytes) -> None:
        self.saw_end = True
        self._tail.append(event)
        self._tail_bytes += len(event)
        self.is_unreadable = self._tail_bytes > MAX_HELD_BYTES


class TextPump(Pump):
    """Raw text: one piece for each non-empty delta, without leading blanks."""

    __slots__ = ("_chunk_bytes", "_encoder", "has_text")

    def __init__(self) -> None:
        super().__init__()
        self._splitter = EventSplitter(MAX_TEXT_EVENT_BYTES)
        self.has_text = False
        self._chunk_bytes = 0
        self._encoder = TextEncoder()

    @override
    def feed(self, body: bytes) -> list[bytes]:
        reader, splitter = self._reader, self._splitter
        if reader.done:
            self.is_plain = self.saw_content = self.saw_end = False
            self._look_behind_end(splitter.feed(body))
            return []
        if self.has_text and splitter.at_boundary and reader.read_plain(body):
            piece = self._encoder.encode(reader.text)
            self.is_plain = True
            return [piece] if piece else []
        return self._take_all(splitter.feed(body))

    @property
    @override
    def feed_chunk(self) -> Callable[[bytes], bytes | None]:
        return self._feed_chunk

    @property
    @override
    def chunk_bytes(self) -> int:
        return self._chunk_bytes

    def _feed_chunk(self, read: bytes) -> bytes | None:
        if self._reader.read_framed(read) is None:
            return None
        piece = self._encoder.encode(self._reader.text)
        if not piece:
            return b""
        self._chunk_bytes += len(piece)
        return b"%x\r\n%b\r\n" % (len(piece), piece)

    @property
    @override
    def is_between_events(self) -> bool:
        return self._splitter.at_boundary and not self._reader.done

    def _take_all(self, events: list[bytes]) -> list[bytes]:
        self.is_plain = self.saw_content = self.saw_end = False
        reader = self._reader
        pieces: list[bytes] = []
        for position, event in enumerate(events):
            kind = reader.read(event)
            if kind is CONTENT:
                self.saw_content = True
                piece = self._encoder.encode(reader.text)
                if piece:
                    pieces.append(piece)
            elif kind in _ENDS:
                self.saw_end = True
                self.is_unreadable = kind is UNREADABLE or kind is GIANT
                if kind is DONE:
                    self._look_behind_end(events[position + 1 :])
                break
        if pieces:
            self.has_text = True
        return pieces

    def _look_behind_end(self, events: list[bytes]) -> None:
        """Ignore text after the terminator, but notice an error, which voids the answer."""
        if any(self._reader.read(event) is FAULT for event in events):
            self.saw_end = True

    @property
    @override
    def has_content(self) -> bool:
        return self.has_text

    @override
    def finish(self) -> list[bytes]:
        held = self._splitter.held
        if not held or self._reader.done:
            return []
        pieces = self._take_all([held])  # a last event without its blank line,
        self.is_unreadable = False  # or half of one, which makes the answer incomplete
        return pieces
