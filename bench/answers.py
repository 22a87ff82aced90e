"""Reading one answer as it comes, and judging it.

The rule here: an answer that is not whole is a failure with a name; cheap checks, but no guesses.
"""

# The end of every content chunk of the simulator's `bench` answers, in JSON and as plain text.
MARK = b"abcdefghijklmnop"
DONE = b"data: [DONE]"
LAST_CHUNK = b"\r\n0\r\n\r\n"
HEAD_END = b"\r\n\r\n"
# Enough to hold the end of a stream, with [DONE] and its framing.
TAIL_BYTES = 64
HEAD_BYTES_MAX = 65_536


class Head:
    """The status line and the headers, complete."""

    def __init__(self, raw: bytes) -> None:
        lines = raw.lower().split(b"\r\n")
        self.status = lines[0].split(b" ")[1].decode("latin-1")
        pairs = (line.partition(b":") for line in lines[1:])
        self.fields = {name: value.strip() for name, _, value in pairs}

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.fields.get(b"transfer-encoding") == b"chunked"

    @property
    def length(self) -> int:
        """Length of the body that the head announces; -1: none."""
        return int(self.fields.get(b"content-length", b"-1"))


class Answer:
    """One answer: fed as it comes, over when the framing says so or when it is wrong."""

    __slots__ = ("_before", "_rest", "_tail", "_wanted", "chunks", "fault", "head", "is_over")

    def __init__(self, wanted_chunks: int, *, has_done: bool) -> None:
        self._wanted = (wanted_chunks, has_done)
        self._before = b""  # a head that is not complete
        self._tail = b""
        self._rest = 0  # bytes of a JSON document still to come
        self.head: Head | None = None
        self.chunks = 0
        self.fault = ""
        self.is_over = False

    def feed(self, piece: bytes) -> int:
        """Take what came; the chunks of content that it completed."""
        if self.is_over:
            return 0
        if self.head is None:
            body = self._read_head(piece)
            if body is None or self.is_over:
                return 0
            piece = body
        if not self._wanted[0]:
            self._rest -= len(piece)
            if self._rest <= 0:
                self._end("" if self._rest == 0 else "bytes after the end")
            return 0
        return self._read_stream(piece)

    def _read_stream(self, piece: bytes) -> int:
        # A mark may straddle two reads; one that is whole in the tail was counted before.
        seen = self._tail + piece
        new = seen.count(MARK) - self._tail.count(MARK)
        self._tail = seen[-TAIL_BYTES:]
        self.chunks += new
        if self._tail.endswith(LAST_CHUNK):
            self._judge_stream()
        return new

    def _judge_stream(self) -> None:
        wanted, has_done = self._wanted
        if self.chunks != wanted:
            self._end(f"{self.chunks} of {wanted} chunks")
        elif has_done and DONE not in self._tail:
            self._end("no [DONE]")
        else:
            self._end("")

    def _read_head(self, piece: bytes) -> bytes | None:
        """The part of the body that came with the end of the head; None: there is no end yet."""
        raw, end, body = (self._before + piece).partition(HEAD_END)
        if not end:
            self._before = raw
            if len(raw) > HEAD_BYTES_MAX:
                self._end("no end of the head")
            return None
        self.head = Head(raw)
        self._rest = self.head.length
        if self.head.status != "200":
            self._end(f"status {self.head.status}")
        elif self._wanted[0] and not self.head.is_chunked:
            self._end("a stream that is not chunked")
        elif not self._wanted[0] and self._rest < 0:
            self._end("a document without a length")
        return body

    def _end(self, fault: str) -> None:
        self.fault = fault
        self.is_over = True
