"""A streamed answer as beats: events written down, spoiled where asked, and put in time.

The rule here: every function takes beats and gives beats, so the order of spoiling is plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.simulator.chunks import ChunkWriter, Event
from gateway.simulator.error_shapes import stream_error_payload
from gateway.simulator.plan import Beat
from gateway.simulator.sse import render_comment, render_comments, render_event, render_junk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.simulator.asking import Ask
    from gateway.simulator.blocks import StreamError
    from gateway.simulator.directive import Directive


def write_stream(directive: Directive, ask: Ask, answer_id: str) -> list[Beat]:
    """All beats of a streamed answer."""
    beats = [
        Beat(render_event(event, directive.sse, number), event.tokens, kind=event.kind)
        for number, event in enumerate(_events(directive, ask, answer_id))
    ]
    paced = _put_in_time(beats, directive)
    return _add_junk(_add_comments(paced, directive), directive)


def place_after(beats: list[Beat], tokens: int) -> int:
    """The place right after so many tokens; for 0, right before the first."""
    seen = 0
    for place, beat in enumerate(beats):
        if not tokens and beat.tokens:
            return place
        seen += beat.tokens
        if tokens and seen >= tokens:
            return place + 1
    return len(beats)


def _events(directive: Directive, ask: Ask, answer_id: str) -> list[Event]:
    if directive.events:
        done = [Event("done", "[DONE]")] if directive.done != "never" else []
        return [*(Event("token", payload) for payload in directive.events), *done]
    writer = ChunkWriter(directive, ask, answer_id)
    events = list(writer.events())
    if directive.stream_error is None:
        return events
    return _break_off(events, directive.stream_error, writer)


def _break_off(events: list[Event], error: StreamError, writer: ChunkWriter) -> list[Event]:
    """The stream up to the error, the error, and what its provider sends after it."""
    kept: list[Event] = []
    seen = 0
    is_late = error.at == "after_finish"
    before = ("prelude", "role", "token", "finish") if is_late else ("prelude", "role", "token")
    for event in events:
        if event.kind not in before or (not is_late and seen + event.tokens > error.after_tokens):
            break
        seen += event.tokens
        kept.append(event)
    then_done = error.shape == "openrouter" if error.then_done is None else error.then_done
    end = [Event("done", "[DONE]")] if then_done else []
    return [*kept, _error_event(error, writer, seen), *end]


def _error_event(error: StreamError, writer: ChunkWriter, tokens: int) -> Event:
    payload = stream_error_payload(error)
    if error.shape == "groq":
        return Event("error", {"error": payload}, name="error")
    empty = {"role": "assistant", "content": ""}
    if error.shape == "ollama":
        return Event("error", writer.chunk([writer.choice(0, empty)]))
    if error.shape == "openai":
        return Event("error", {"error": payload})
    reason = "error" if error.shape == "openrouter_documented" else None
    chunk = writer.chunk([{"index": 0, "delta": empty, "finish_reason": reason}], error=payload)
    if reason is None:
        chunk["usage"] = writer.usage(tokens)
    return Event("error", chunk)


def _put_in_time(beats: Iterable[Beat], directive: Directive) -> list[Beat]:
    """The first token waits `ttft_s`, later ones and the finish `gap_s`, all else comes at once."""
    timed: list[Beat] = []
    wait_s = directive.ttft_s
    for beat in beats:
        is_paced = beat.kind in ("token", "finish", "error")
        timed.append(beat._replace(delay_s=wait_s) if is_paced else beat)
        wait_s = directive.gap_s if is_paced else wait_s
    return timed


def _add_comments(beats: list[Beat], directive: Directive) -> list[Beat]:
    comments = directive.comments
    opening = render_comments(comments, directive.sse)
    comment = Beat(render_comment(comments.text, directive.sse), kind="comment")
    found = [Beat(opening, kind="comment")] if opening else []
    for number, beat in enumerate(beats, start=1):
        found.append(beat)
        if comments.every and number % comments.every == 0 and number < len(beats):
            found.append(comment)
    return found


def _add_junk(beats: list[Beat], directive: Directive) -> list[Beat]:
    if directive.junk is None:
        return beats
    place = place_after(beats, directive.junk.after_tokens)
    junk = [Beat(piece, kind="junk") for piece in render_junk(directive.junk, directive.sse)]
    return [*beats[:place], *junk, *beats[place:]]
