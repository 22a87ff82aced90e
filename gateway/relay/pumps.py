"""From a provider's bytes to the caller's, one class a dialect.

The rule here: no sockets, no clock. `feed` returns what may go downstream now; what must not
be sent before the answer is known to be whole stays inside.
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

# Of an event that text is to be read from. An image of two megabytes may come in one, beside a text
# that is nothing but words: left unread, it would take the words with it.
MAX_TEXT_EVENT_BYTES = 4 * 1024 * 1024
# What ends an answer of text, for better or worse.
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

    may_join = False  # the caller sees where one piece ends and the next begins

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._reader = StreamReader()
        # Of the last `feed`: content and nothing else, so nothing that needs a look.
        self.is_plain = False
        # Of the last `feed` that was not plain: content came; the terminator, an error or something
        # unreadable came.
        self.saw_content = False
        self.saw_end = False
        self.is_unreadable = False  # an event came that this dialect cannot carry

    def listen_with(self, reader: StreamReader) -> None:
        """Read with this one from the first byte on."""
        self._reader = reader

    @abc.abstractmethod
    def feed(self, body: bytes) -> list[bytes]:
        """What may go downstream now, in the pieces that the caller gets one by one."""

    @property
    @abc.abstractmethod
    def feed_chunk(self) -> Callable[[bytes], bytes | None]:
        """Takes a read that is one whole HTTP chunk with plain content.

        It gives what may go downstream, framed; b"" for nothing; None when the read is anything
        else, and then nothing has been taken. It may be kept: asking for it takes a frame.
        """

    @property
    @abc.abstractmethod
    def chunk_bytes(self) -> int:
        """All that `feed_chunk` has given, without its framing."""

    @property
    def is_between_events(self) -> bool:
        """True when the next byte must begin an event."""
        return self._splitter.at_boundary

    @abc.abstractmethod
    def finish(self) -> list[bytes]:
        """The rest, once the framing has ended; ask `is_complete` afterwards."""

    def keep_alive(self) -> bytes:
        """A comment that may be written now; b"" where there is no place for one."""
        return b""

    @property
    def has_content(self) -> bool:
        """True once what the caller waits for has come: the commit point."""
        return self._reader.content_events > 0

    @property
    def fault_was_relayed(self) -> bool:
        """True when the caller has been shown the provider's own error."""
        return False

    @property
    def left_event_open(self) -> bool:
        """True when the caller has a part of an event, which our own would become a part of."""
        return False

    @property
    def content_events(self) -> int:
        """How many events with content have come."""
        return self._reader.content_events

    @property
    def is_complete(self) -> bool:
        """True when the answer is whole, if its framing ends here."""
        return self._reader.is_complete and not self.is_unreadable

    @property
    def fault(self) -> Any:  # noqa: ANN401 - the provider's own shape
        """What the provider said when it failed inside the stream; None when it did not."""
        return self._reader.fault

    @property
    def usage(self) -> Usage | None:
        """The provider's count, or our estimate when content came without one."""
        return self._reader.settle_usage()

    @property
    def answered(self) -> Answered:
        """What the answer has said of itself."""
        return read_ending(self._reader.ending, self._reader.finish_reasons)

    @property
    def counted(self) -> Usage | None:
        """The provider's count alone."""
        return self._reader.usage

    @property
    def tokens_seen(self) -> int:
        """How long the answer is by now, as we estimate it."""
        return self._reader.count_tokens()


class OpenAIPump(Pump):
    """The provider's own events in the provider's own order.

    Two things are ours: a usage chunk that the caller did not ask for is left out, and the
    terminator waits for the end of the framing, so that a broken stream never shows one.
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
        self._secrets = secrets  # what no event but content may quote
        self._tail: list[bytes] = []  # the terminator and whatever follows it
        self._tail_bytes = 0
        self._fault_was_relayed = False
        self._has_begun = False  # an event of the provider's has come
        self._has_commented = False  # a comment of ours stands before it

    @override
    def feed(self, body: bytes) -> list[bytes]:
        reader, splitter = self._reader, self._splitter
        if (
            reader.content_events  # what comes before is seldom plain
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
            # To a reader an event that is not ended is none: not the provider's error either.
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
            # It marks the beginning of a stream; anywhere else the event that has it is lost.
            first = events[0]  # or a part of it, which is of a type of its own
            events[0] = type(first)(first.removeprefix(BYTE_ORDER_MARK))

    def _hold_back(self, event: bytes) -> None:
        self.saw_end = True
        self._tail.append(event)
        self._tail_bytes += len(event)
        self.is_unreadable = self._tail_bytes > MAX_HELD_BYTES


class TextPump(Pump):
    """Raw text: one piece for each non-empty delta, leading blanks left out."""

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
        """What follows the terminator is no part of the text, but it may take the answer back."""
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
        self.is_unreadable = False  # or half of one: then the answer is not whole
        return pieces
