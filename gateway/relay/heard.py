"""Listening to an answer, for those whose words are logged.

The rule here: whoever is not listened to has a plain `StreamReader`, and pays nothing for this one.
"""

from typing_extensions import override

from gateway.core.content import Content
from gateway.wire.chunk import EventKind, StreamReader


class HeardReader(StreamReader):
    """Reads as its parent does, and keeps the text of the first choice."""

    __slots__ = ("_content",)

    def __init__(self, content: Content) -> None:
        super().__init__()
        content.begin_answer()
        self._content = content

    @override
    def read(self, event: bytes) -> EventKind:
        kind = super().read(event)
        self._content.hear(self.text)
        return kind

    @override
    def read_plain(self, read: bytes) -> bool:
        is_read = super().read_plain(read)
        if is_read:
            self._content.hear(self.text)
        return is_read

    @override
    def read_framed(self, read: bytes) -> bytes | None:
        framed = super().read_framed(read)
        if framed is not None:
            self._content.hear(self.text)
        return framed
