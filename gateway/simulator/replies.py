"""Which reply a directive means: an error, a redirect, given bytes, a document, or a stream.

The rule here: a reply is a status, headers and a body in beats; nothing about framing or faults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.simulator.completion import render_completion
from gateway.simulator.content import write_content
from gateway.simulator.error_shapes import JSON_TYPE, render_error
from gateway.simulator.plan import Beat
from gateway.simulator.sse import render_opening
from gateway.simulator.streams import write_stream

if TYPE_CHECKING:
    from gateway.simulator.asking import Ask
    from gateway.simulator.directive import Directive

SSE_TYPE = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply before it is framed."""

    status: int
    content_type: str
    beats: list[Beat]
    headers: tuple[tuple[str, str], ...] = ()
    is_stream: bool = False


def write_reply(directive: Directive, ask: Ask, answer_id: str) -> Reply:
    """The reply to one request."""
    reply = _write(directive, ask, answer_id)
    opening = render_opening(directive.sse)
    beats = [Beat(opening), *reply.beats] if opening else reply.beats
    content_type = directive.http.content_type
    return Reply(
        status=reply.status,
        content_type=reply.content_type if content_type is None else content_type,
        beats=beats,
        headers=(*reply.headers, *directive.http.headers),
        is_stream=reply.is_stream,
    )


def _write(directive: Directive, ask: Ask, answer_id: str) -> Reply:
    if directive.error is not None:
        retry_after = directive.error.retry_after
        headers = () if retry_after is None else (("Retry-After", retry_after),)
        content_type, body = render_error(directive.error)
        return Reply(directive.error.status, content_type, _in_time(directive, [body]), headers)
    if directive.redirect_to:
        location = (("Location", directive.redirect_to),)
        return Reply(directive.redirect_status, "text/html", [Beat(b"Moved.\n")], location)
    wants_stream = ask.stream if directive.answer == "as_asked" else directive.answer == "stream"
    content_type = SSE_TYPE if wants_stream else JSON_TYPE
    if directive.body is not None:
        beats = _in_time(directive, [directive.body.encode()])
        return Reply(directive.status, content_type, beats, is_stream=wants_stream)
    if wants_stream:
        beats = write_stream(directive, ask, answer_id)
        return Reply(directive.status, content_type, beats, is_stream=True)
    pieces = render_completion(directive, ask, answer_id)
    tokens = write_content(directive, ask).token_count * (directive.choices or ask.choices)
    return Reply(directive.status, content_type, _in_time(directive, pieces, tokens))


def _in_time(directive: Directive, pieces: list[bytes], tokens: int = 0) -> list[Beat]:
    """A body that is no stream of events: it comes at once, after `ttft_s`."""
    first = Beat(pieces[0], tokens, directive.ttft_s)
    return [first, *(Beat(piece) for piece in pieces[1:])]
