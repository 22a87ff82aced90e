"""Refuses again whoever was refused a moment ago, from the bytes of their request alone.

The rule here: it decides as `shed_load` does, by the same seats, for callers that were recognised
there within the last second; whatever is not plain goes to the chain. A refusal by the chain costs
ten times as much as this, and eight times the load is seven refusals for each answer.
"""

import functools
import re
from collections.abc import Iterable

from gateway.core.clock import Clock, monotonic
from gateway.core.credential_shapes import holds_issued
from gateway.core.errors import OverloadedError
from gateway.core.request_id import is_request_id, new_request_id
from gateway.core.retry_after import come_back
from gateway.overload.seats import Seats
from gateway.wire.fixed_headers import FIXED_HEADERS
from gateway.wire.render_errors import render_openai, render_text

WATCHING_S = 1.0
MOST_CALLERS = 1_000
SENTENCE = "The gateway has as many requests as it can handle; try again in a moment."
# What a caller can show; what is behind these names is all that recognising goes by.
SHOWN = frozenset((b"authorization", b"x-api-key", b"cookie"))

_END_OF_HEAD = b"\r\n\r\n"
_COMPLETIONS, _CHAT = b"POST /v1/chat/completions HTTP/1.1\r\n", b"POST /api/chat/"
_HEADERS = re.compile(
    rb"\r\n(authorization|x-api-key|cookie|content-length|transfer-encoding|expect|origin|"
    rb"connection|x-request-id)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)",
    re.IGNORECASE,
)
_NOT_PLAIN = frozenset((b"transfer-encoding", b"expect", b"origin", b"connection"))
_LENGTH, _REQUEST_ID = b"content-length", b"x-request-id"
# What stands in a refusal before it is known whose it is.
_ID, _BODY_BYTES = b"0123456789abcdef" * 2, b"<body bytes>"


class Door:
    """Who was refused a moment ago, by a number made of what they showed."""

    def __init__(self, seats: Seats, clock: Clock = monotonic) -> None:
        self._seats = seats
        self._clock = clock
        self._until = 0.0
        self._holders: dict[int, str] = {}

    @property
    def is_watched(self) -> bool:
        """Whether anybody was refused a moment ago."""
        return self._clock() < self._until

    def note(self, headers: Iterable[tuple[bytes, bytes]], holder: str) -> None:
        """Somebody was recognised by these headers, and refused."""
        now = self._clock()
        if now >= self._until or len(self._holders) >= MOST_CALLERS:
            self._holders.clear()
            self._until = now + WATCHING_S
        shown = tuple((low, value) for name, value in headers if (low := name.lower()) in SHOWN)
        self._holders[hash(shown)] = holder

    def turn_away(self, data: bytes) -> bytes | None:
        """The whole answer for a request that is refused; None where the chain is to decide."""
        if not self.is_watched:
            return None
        is_chat = data.startswith(_CHAT)
        if not is_chat and not data.startswith(_COMPLETIONS):
            return None
        read = _read_plain(data)
        if read is None:
            return None
        shown, request_id = read
        holder = self._holders.get(hash(shown))
        if holder is None or self._seats.has_room_for(holder):
            return None
        return _render(request_id, is_openai=not is_chat)


def _read_plain(data: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], str] | None:
    """What one whole, plain request shows, and its id; None for any other bytes."""
    end = data.find(_END_OF_HEAD)
    if end < 0:
        return None
    shown, lengths, ids = [], [], []
    for name, value in _HEADERS.findall(data[: end + 2]):
        name = name.lower()  # noqa: PLW2901 - the same name
        if name == _LENGTH:
            lengths.append(value)
        elif name == _REQUEST_ID:
            ids.append(value.decode("latin-1"))
        elif name in _NOT_PLAIN:
            return None
        else:
            shown.append((name, value))
    is_framed = len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) < len("1000000")
    if not is_framed or len(data) != end + len(_END_OF_HEAD) + int(lengths[0]):
        return None
    # As `assign_request_id` chooses: the caller's own where it is harmless.
    given = ids[0] if ids else ""
    is_usable = is_request_id(given) and not holds_issued(given)
    return tuple(shown), given if is_usable else new_request_id()


def _render(request_id: str, *, is_openai: bool) -> bytes:
    """A refusal: 1.5 µs, where putting each together takes 15."""
    template, body_bytes = _make_template(come_back()["Retry-After"], is_openai=is_openai)
    body_bytes += len(request_id)
    return template.replace(_ID, request_id.encode()).replace(_BODY_BYTES, b"%d" % body_bytes)


@functools.cache  # one for each second that somebody may be told to wait, and each dialect
def _make_template(retry_after: str, *, is_openai: bool) -> tuple[bytes, int]:
    """A refusal of a request whose id is `_ID`, and the length of its body without that."""
    error, request_id = OverloadedError(SENTENCE), _ID.decode()
    body = (render_openai if is_openai else render_text)(error, request_id)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": _BODY_BYTES.decode(),
        "x-should-retry": "false",
        "X-Request-ID": request_id,
        "Retry-After": retry_after,
        **FIXED_HEADERS,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode("latin-1")
    return head + body, len(body) - len(_ID)
