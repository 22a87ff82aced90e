"""Response heads and interim responses, right ones and wrong ones.

The rule here: header names and values are written as given; nothing is checked or repaired.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.simulator.asking import Ask
    from gateway.simulator.blocks import HttpStyle
    from gateway.simulator.replies import Reply

CHUNKED = frozenset({"chunked", "length_and_chunked", "unknown_coding", "bad_chunk"})
UNUSUAL_REASONS = {
    498: "Flex Capacity Exceeded",
    499: "Client Closed Request",
    520: "Unknown Error",
    524: "A Timeout Occurred",
    529: "Site Overloaded",
}


def reason_of(status: int) -> str:
    """The reason phrase of a status, registered or not."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return UNUSUAL_REASONS.get(status, "Unusual")


def choose_framing(style: HttpStyle, ask: Ask, *, is_stream: bool) -> str:
    """How the end of the body is told."""
    if style.framing != "auto":
        return style.framing
    if not is_stream:
        return "length"
    return "eof" if ask.is_http_1_0 else "chunked"


def render_head(reply: Reply, style: HttpStyle, framing: str, body_bytes: int) -> bytes:
    """The status line and the headers of a reply."""
    lines = [style.status_line or f"HTTP/1.1 {reply.status} {reason_of(reply.status)}"]
    headers = [("Server", "simulator")]
    if reply.content_type:
        headers.append(("Content-Type", reply.content_type))
    if reply.is_stream:
        headers.append(("Cache-Control", "no-cache"))
    if style.gzip or style.gzip_bomb_mib:
        headers.append(("Content-Encoding", "gzip"))
    headers += _framing_headers(framing, body_bytes)
    if style.connection == "close" or framing == "eof":
        headers.append(("Connection", "close"))
    headers += reply.headers
    headers += [(f"X-Filler-{i}", "filler") for i in range(style.filler_headers)]
    if style.giant_header_bytes:
        headers.append(("X-Giant", "g" * style.giant_header_bytes))
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _framing_headers(framing: str, body_bytes: int) -> list[tuple[str, str]]:
    length = ("Content-Length", str(body_bytes))
    chunked = ("Transfer-Encoding", "chunked")
    return {
        "length": [length],
        "two_lengths": [length, ("Content-Length", str(body_bytes + 1))],
        "length_and_chunked": [length, chunked],
        "unknown_coding": [("Transfer-Encoding", "gzip, chunked")],
        "eof": [],
    }.get(framing, [chunked])


def render_interim(style: HttpStyle) -> bytes:
    """The interim responses before the head."""
    if not style.interim:
        return b""
    status = style.interim_status
    fields = {
        101: "Upgrade: simulated\r\nConnection: upgrade\r\n",
        103: "Link: </style.css>; rel=preload\r\n",
    }.get(status, "")
    return f"HTTP/1.1 {status} {reason_of(status)}\r\n{fields}\r\n".encode() * style.interim


def render_trailers(style: HttpStyle) -> bytes:
    """The last chunk with its trailer fields."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in style.trailers)
    return f"0\r\n{fields}\r\n".encode("latin-1", "replace")
