"""One provider's answer: bytes in, head and body pieces out.

The rule here: httptools parses, the rules around it are ours (`response_head`). Interim
responses are skipped, trailers ignored, and a byte too many is noticed.
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


class AnswerParser:
    """Parses the answer to one request; `feed` raises HeadError for what we do not accept."""

    __slots__ = (
        "_interim",
        "_parser",
        "body",
        "framed_by_eof",
        "has_excess",
        "head_bytes",
        "headers",
        "is_complete",
        "is_headed",
        "keeps_alive",
        "status",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._interim = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []  # pieces not yet taken
        self.head_bytes = 0
        self.is_headed = False
        self.is_complete = False
        self.framed_by_eof = False
        self.keeps_alive = False
        self.has_excess = False  # bytes after the end of the message

    def feed(self, data: bytes) -> None:
        """Parse one read."""
        if not self.is_headed:
            self.head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.is_complete:
                raise HeadError(str(error.__context__ or error)) from error
            self.has_excess = True  # the answer was whole; what follows costs the connection
        if not self.is_headed and self.head_bytes > MAX_HEAD_BYTES:
            raise HeadError(f"a head of more than {MAX_HEAD_BYTES} bytes")

    def take_body(self) -> bytes:
        """All body bytes since the last call."""
        body = self.body
        if not body:
            return b""
        self.body = []
        return body[0] if len(body) == 1 else b"".join(body)

    # httptools calls these.

    def on_message_begin(self) -> None:
        """Notice a message that nobody asked for."""
        if self.is_complete:
            self.has_excess = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers are ignored."""
        if self.is_headed:
            return
        self.headers.append((name.lower(), value))
        if len(self.headers) > MAX_HEADERS:
            raise HeadError(f"more than {MAX_HEADERS} headers")

    def on_headers_complete(self) -> None:
        """Check the head, unless it is an interim one."""
        if self.is_complete:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:  # noqa: PLR2004 - interim, RFC 9110 15.2
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise HeadError(f"more than {MAX_INTERIM_RESPONSES} interim responses")
            return
        check_head(self._parser.get_http_version(), status, self.headers)
        self.status = status
        self.framed_by_eof = is_framed_by_eof(status, self.headers)
        self.is_headed = True

    def on_body(self, body: bytes) -> None:
        """Collect a piece."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """Note the end of the message, or of an interim one."""
        if self.is_headed:
            self.is_complete = True
            self.keeps_alive = self._parser.should_keep_alive()
        else:
            self.headers = []
