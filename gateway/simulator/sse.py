"""Events, comments and junk written down as server-sent events.

The rule here: bytes come from a style alone; what an event says is not looked at, but for its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.simulator.completion import fill, render_json

if TYPE_CHECKING:
    from gateway.simulator.blocks import Comments, Junk, SseStyle
    from gateway.simulator.chunks import Event

LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FLOOD_BYTES = 65_536
MIB = 1024 * 1024


def render_event(event: Event, style: SseStyle, number: int = 0) -> bytes:
    """One event, with its blank line."""
    end = LINE_ENDS[style.line_end]
    name = event.name or _event_line(event, style)
    lines = [_data_line(event, style)]
    if name:
        lines.insert(len(lines) if style.data_first else 0, b"event: " + name.encode())
    if style.id_lines:
        lines.append(b"id: %d" % number)
    return end.join(lines) + end + end


def _event_line(event: Event, style: SseStyle) -> str:
    if "{type}" not in style.event_line:
        return style.event_line
    kind = event.payload.get("type", "") if isinstance(event.payload, dict) else ""
    return style.event_line.replace("{type}", str(kind))


def _data_line(event: Event, style: SseStyle) -> bytes:
    colon = b"data: " if style.space_after_colon else b"data:"
    if isinstance(event.payload, str):
        return colon + event.payload.encode() + b" " * style.trailing_spaces
    payload = render_json(event.payload, ascii_only=style.ascii_only)
    if style.padding:
        payload = payload[:-1] + b" " * style.padding + payload[-1:]
    return colon + payload + b" " * style.trailing_spaces


def render_comment(text: str, style: SseStyle) -> bytes:
    """One comment, with its blank line."""
    return b":" + text.encode() + LINE_ENDS[style.line_end] * 2


def render_comments(comments: Comments, style: SseStyle) -> bytes:
    """The comments before the first event."""
    return render_comment(comments.text, style) * comments.before


def render_opening(style: SseStyle) -> bytes:
    """What comes before a body of any kind."""
    mark = BYTE_ORDER_MARK if style.byte_order_mark else b""
    return mark + LINE_ENDS[style.line_end] * style.leading_blank_lines


def render_junk(junk: Junk, style: SseStyle) -> list[bytes]:
    """Junk in pieces of a size that a socket takes."""
    end = LINE_ENDS[style.line_end]
    if junk.kind == "giant_line":
        return [b"data: ", *fill(junk.mib * MIB), end + end]
    unit = {
        "invalid_utf8": b'data: {"id":"\xff\xfe\xc3\x28"}' + end + end,
        "invalid_json": b'data: {"id":"sim1","choices":[{"index":0,' + end + end,
        "empty_events": b"data:" + end + end,
        "comments": b": flood" + end + end,
        "retry_lines": b"retry: 0" + end + end,
        "blank_lines": end,
    }[junk.kind]
    return _repeat(unit, junk.count)


def _repeat(unit: bytes, count: int) -> list[bytes]:
    """A flood; the same object again and again, so that it costs no memory here."""
    per_piece = max(1, FLOOD_BYTES // len(unit))
    whole, rest = divmod(count, per_piece)
    return [unit * per_piece] * whole + ([unit * rest] if rest else [])
