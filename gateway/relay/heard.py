"""Collecting the text of an answer whose content is logged.

The rule here: exchanges whose content is not logged use a plain `StreamReader` and pay nothing.
"""

import sys

from typing_extensions import override

from gateway.core.content import Content
from gateway.wire.chunk import Choice, EventKind, StreamReader


class HeardReader(StreamReader):
    """Reads as its parent does, and collects the text of the first choice.

    That is the choice with the lowest index seen, as not every provider begins with 0.
    """

    __slots__ = ("_content", "_first", "_index", "_known_index")

    def __init__(self, content: Content) -> None:
        super().__init__()
        content.begin_answer()
        self._content = content
        self._first = sys.maxsize
        self._index = 0  # the choice that the last whole read belonged to
        self._known_index = 0  # the choice of the event that the parent learned its shape from

    @override
    def read_plain(self, read: bytes) -> bool:
        is_read = super().read_plain(read)
        if is_read:
            self._hear(self._last_index)
        return is_read

    @override
    def read_framed(self, read: bytes) -> bytes | None:
        self._index = self._known_index  # `_read_framed_json` overwrites it
        framed = super().read_framed(read)
        if framed is not None:
            self._hear(self._index)
        return framed

    @override
    def _read_framed_json(self, read: bytes) -> bytes | None:
        framed = super()._read_framed_json(read)
        self._index = self._last_index
        return framed

    @override
    def _learn(self, event: bytes, text: str) -> None:
        before = self._before
        super()._learn(event, text)
        if self._before is not before:  # the parent did learn from this event
            self._known_index = self._last_index

    @override
    def _read_choices(self, choices: list[Choice], payload: bytes) -> EventKind:
        # The parent sets `text` from whichever choice comes first in the list.
        ordered = sorted(choices, key=_index_of) if len(choices) > 1 else choices
        kind = super()._read_choices(ordered, payload)
        self._hear(_index_of(ordered[0]))
        return kind

    def _hear(self, index: int) -> None:
        if index < self._first:
            self._first = index
            self._content.begin_answer()
        if index == self._first:
            self._content.hear(self.text)


def _index_of(choice: Choice) -> int:
    return choice.index if isinstance(choice.index, int) else 0
