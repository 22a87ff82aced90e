"""One provider's answer: bytes in, head and body pieces out.

The rule here: httptools parses, and our own rules (`response_head`) decide what is accepted.
Interim responses are skipped, trailers ignored, and bytes after the end noticed.
"""

import httptools

from gateway.upstream.response_head import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_INTERIM_RESPONSES,
    HeadError,
    check_head,
    is_framed_by_eof,
)

PARSER_ERRORS = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class AnswerParser:
    """Parses the answers of one connection, one after the other.

    An answer that we do not accept is a HeadError; after that the parser must not be used again.
    """

    __slots__ = (
        "_in_chunk",
        "_interim",
        "_is_chunked",
        "_parser",
        "body",
        "feed_data",
        "framed_by_eof",
        "has_excess",
        "head_bytes",
        "headers",
        "is_complete",
        "is_headed",
        "keeps_alive",
        "on_body",
        "status",
    )

    def __init__(self) -> None:
        self.body: list[bytes] = []  # pieces not yet taken
        # httptools calls the list's own method for each piece, which costs no Python frame.
        self.on_body = self.body.append
        self._parser = httptools.HttpResponseParser(self)
        self.feed_data = self._parser.feed_data
        self.restart()

    def restart(self) -> None:
        """Prepare for the answer to the next request (a new parser would cost 4 µs)."""
        # 0 between two chunks. Inside one, or in the trailers: 1 plus the bytes read since that
        # were no body.
        self._in_chunk = 0
        self._is_chunked = False
        self._interim = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_bytes = 0
        self.is_headed = False
        self.is_complete = False
        self.framed_by_eof = False
        self.keeps_alive = False
        self.has_excess = False  # bytes after the end of the message

    def close(self) -> None:
        """Drop the C parser, to break the reference cycle with it."""
        del self._parser, self.feed_data

    def feed(self, data: bytes) -> HeadError | None:
        """Parse one read that may hold the head; the error if we do not accept it."""
        if not self.is_headed:
            self.head_bytes += len(data)
        try:
            self.feed_data(data)
        except PARSER_ERRORS as error:
            return self.find_refusal(error)
        if not self.is_headed:
            if self.head_bytes > MAX_HEAD_BYTES:
                return HeadError(f"a head of more than {MAX_HEAD_BYTES} bytes")
        elif not self.body:
            return self.note_bodiless(data)
        return None

    def note_bodiless(self, data: bytes) -> HeadError | None:
        """Count a read that added nothing to the body: trailers, or the beginning of a chunk.

        httptools appends each read to a trailer without any limit of its own.
        """
        if self._in_chunk and not self.is_complete:
            self._in_chunk += len(data)
            if self._in_chunk > MAX_HEAD_BYTES:
                return HeadError(f"trailers of more than {MAX_HEAD_BYTES} bytes")
        return None

    def find_refusal(self, error: Exception) -> HeadError | None:
        """The error that httptools raised; None if the answer was complete before it."""
        if self.is_complete:
            self.has_excess = True  # bytes after a complete answer: do not reuse the connection
            return None
        return HeadError(str(error.__context__ or error))

    def is_at_chunk(self, last_read: bytes) -> bool:
        """True when the next byte must begin a chunk of the body.

        A read that is exactly one chunk may then bypass this parser.
        """
        return (
            self.is_headed
            and self._is_chunked
            and not self._in_chunk
            and not self.is_complete
            and last_read.endswith(b"\r\n")
        )

    def take_body(self) -> bytes:
        """All body bytes since the last call."""
        pieces = self.body
        if len(pieces) == 1:
            return pieces.pop()
        body = b"".join(pieces)
        pieces.clear()
        return body

    # httptools calls these.

    def on_message_begin(self) -> None:
        """Refuse a second message: nobody asked for it, and its body is not part of the answer."""
        if self.is_complete:
            raise HeadError("a second message")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers are ignored."""
        if not self.is_headed:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the head, unless it is an interim one."""
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:  # noqa: PLR2004 - interim, RFC 9110 15.2
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise HeadError(f"more than {MAX_INTERIM_RESPONSES} interim responses")
            return
        self._check_size()
        self._is_chunked = check_head(self._parser.get_http_version(), status, self.headers)
        self.status = status
        self.framed_by_eof = not self._is_chunked and is_framed_by_eof(status, self.headers)
        self.is_headed = True

    def _check_size(self) -> None:
        """Refuse a head that is too large; memory holds at most one read more than the limit."""
        if len(self.headers) > MAX_HEADERS:
            raise HeadError(f"more than {MAX_HEADERS} headers")
        # `head_bytes` counts whole reads, and the last may hold much of the body too.
        if self.head_bytes > MAX_HEAD_BYTES:
            field_bytes = sum(len(name) + len(value) for name, value in self.headers)
            if field_bytes > MAX_HEAD_BYTES:
                raise HeadError(f"a head of more than {MAX_HEAD_BYTES} bytes")

    def on_chunk_header(self) -> None:
        """A chunk has begun."""
        self._in_chunk = 1

    def on_chunk_complete(self) -> None:
        """A chunk has ended."""
        self._in_chunk = 0

    def on_message_complete(self) -> None:
        """Note the end of the message, or of an interim one."""
        if self.is_headed:
            self.is_complete = True
            self.keeps_alive = self._parser.should_keep_alive()
        else:
            self.headers = []
