"""What we accept as a provider's status line and headers.

The rule here: httptools parses them and this file decides what we accept. Anything that two
parsers could read differently is refused.
"""

from gateway.upstream.receiver import Headers

MAX_HEADERS = 128
MAX_HEAD_BYTES = 64 * 1024
MAX_INTERIM_RESPONSES = 256

_NO_BODY = frozenset({204, 304})
_HTTP_1 = frozenset({"1.0", "1.1"})
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class HeadError(Exception):
    """A response head that we do not accept; the text says why."""


def check_head(version: str, status: int, headers: Headers) -> bool:
    """Whether the body is chunked; HeadError for a head that we do not accept."""
    if version not in _HTTP_1:
        raise HeadError(f"HTTP version {version}")
    # The final statuses of RFC 9110. 101 is not one, and we never ask to switch protocols.
    if not 200 <= status <= 599:  # noqa: PLR2004 - as above
        raise HeadError(f"status {status}")
    is_chunked = False
    for name, value in headers:
        if name == b"transfer-encoding":
            if is_chunked or value.strip().lower() != b"chunked":
                raise HeadError("a transfer encoding other than chunked")
            is_chunked = True
    return is_chunked


def find_header(headers: Headers, name: bytes) -> bytes:
    """The first value of a header (name in lower case), stripped; b"" if there is none."""
    for key, value in headers:
        if key == name:
            return value.strip()
    return b""


def is_framed_by_eof(status: int, headers: Headers) -> bool:
    """True if the body ends only with the connection (RFC 9112 section 6.3)."""
    if status in _NO_BODY:
        return False
    for name, _ in headers:  # noqa: SIM110 - `all` over a generator takes three times as long
        if name in _FRAMING:
            return False
    return True


def parse_keep_alive_s(headers: Headers) -> float | None:
    """How long the provider says it keeps an idle connection open, if it does."""
    for part in find_header(headers, b"keep-alive").split(b","):
        name, _, value = part.strip().partition(b"=")
        if name.lower() == b"timeout" and value.isdigit():
            return float(value[:9])
    return None
