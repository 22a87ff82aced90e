"""From a directive and a request to a plan: reply, stop, cut into pieces, frame, end.

The rule here: pure functions, each one step; the connection learns nothing of directives.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from gateway.simulator.heads import (
    CHUNKED,
    choose_framing,
    render_head,
    render_interim,
    render_trailers,
)
from gateway.simulator.pieces import cut_beats, cut_wire
from gateway.simulator.plan import Beat, Ending, Plan, Write
from gateway.simulator.replies import Reply, write_reply
from gateway.simulator.sse import render_comment
from gateway.simulator.streams import place_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.simulator.asking import Ask
    from gateway.simulator.blocks import HttpStyle, Stall
    from gateway.simulator.directive import Directive

GZIP = 16 + zlib.MAX_WBITS
MIB = 1024 * 1024
BAD_CHUNK = b"zz\r\n"
# A comment anywhere else would not be one.
COMMENTABLE = frozenset({"after_head", "after_tokens"})


class Stopped(NamedTuple):
    """A body as far as it is sent, and whether its own end is reached."""

    beats: list[Beat]
    is_whole: bool


def build_plan(directive: Directive, ask: Ask, answer_id: str) -> Plan:
    """Every byte of the answer, and how it ends."""
    reply = _compress(write_reply(directive, ask, answer_id), directive.http)
    framing = choose_framing(directive.http, ask, is_stream=reply.is_stream)
    stopped = _stop(reply.beats, directive)
    # A body that is cut still announces its whole length.
    promised = stopped.beats if stopped.is_whole else reply.beats
    body_bytes = sum(len(beat.payload) for beat in promised)
    head = render_interim(directive.http)
    head += render_head(reply, directive.http, framing, body_bytes)
    body = [] if ask.is_head else _body_writes(stopped, directive, framing)
    writes = _head_writes(head, directive)
    writes = _join_head(writes, body, directive, is_stream=reply.is_stream)
    writes = cut_wire(writes, directive.writes)
    hold = directive.stall if directive.stall and directive.stall.for_s is None else None
    return Plan(
        status=reply.status,
        writes=tuple(writes),
        ending=_ending(directive, ask, framing),
        is_cut=directive.cut is not None or framing == "bad_chunk",
        hold_wire=_hold_wire(directive, hold, framing),
        hold_every_s=hold.every_s if hold else 0.0,
    )


def _body_writes(stopped: Stopped, directive: Directive, framing: str) -> list[Write]:
    writes = list(_frame(cut_beats(stopped.beats, directive.writes), framing))
    return writes + _end(directive.http, framing) if stopped.is_whole else writes


def _compress(reply: Reply, style: HttpStyle) -> Reply:
    if not (style.gzip or style.gzip_bomb_mib):
        return reply
    packer = zlib.compressobj(9, zlib.DEFLATED, GZIP)
    if style.gzip_bomb_mib:
        packed = b"".join(packer.compress(bytes(MIB)) for _ in range(style.gzip_bomb_mib))
        beats = [Beat(packed)]
    else:
        beats = [
            beat._replace(payload=packer.compress(beat.payload) + packer.flush(zlib.Z_SYNC_FLUSH))
            for beat in reply.beats
        ]
    beats.append(Beat(packer.flush()))
    return Reply(reply.status, reply.content_type, beats, reply.headers, reply.is_stream)


def _stop(beats: list[Beat], directive: Directive) -> Stopped:
    """The body up to the cut or the stall; a stall that ends is a pause in it."""
    stop = directive.cut or directive.stall
    if stop is None:
        return Stopped(beats, is_whole=True)
    before, after = _split(beats, stop.at, stop.after_tokens)
    if directive.cut is None and directive.stall and directive.stall.for_s is not None:
        return Stopped(_pause(before, after, directive, directive.stall), is_whole=True)
    return Stopped(before, is_whole=False)


def _split(beats: list[Beat], at: str, after_tokens: int) -> tuple[list[Beat], list[Beat]]:
    if at in ("before_head", "in_head", "after_head"):
        return [], beats
    if at == "before_last_chunk":
        return beats, []
    if at == "after_finish":
        finishes = [i for i, beat in enumerate(beats) if beat.kind == "finish" or beat.tokens]
        place = finishes[-1] + 1 if finishes else len(beats)
        return beats[:place], beats[place:]
    place = place_after(beats, after_tokens)
    if at == "after_tokens" or place == len(beats):
        return beats[:place], beats[place:]
    whole = beats[place]
    half = len(whole.payload) // 2
    start = whole._replace(payload=whole.payload[:half], tokens=0)
    rest = whole._replace(payload=whole.payload[half:], delay_s=0.0)
    return [*beats[:place], start], [rest, *beats[place + 1 :]]


def _pause(before: list[Beat], after: list[Beat], directive: Directive, stall: Stall) -> list[Beat]:
    pause_s = stall.for_s or 0.0
    if stall.at in ("before_head", "in_head") or not after:
        return [*before, *after]
    waits: list[Beat] = []
    if stall.comment is not None and stall.at in COMMENTABLE:
        comment = render_comment(stall.comment, directive.sse)
        count = int(pause_s / stall.every_s)
        waits = [Beat(comment, delay_s=stall.every_s, kind="comment")] * count
        pause_s -= count * stall.every_s
    return [*before, *waits, after[0]._replace(delay_s=pause_s), *after[1:]]


def _head_writes(head: bytes, directive: Directive) -> list[Write]:
    """The head in one write or, where it stops half-way, in two or less."""
    stop = directive.cut or directive.stall
    pause_s = directive.stall.for_s if directive.stall and directive.cut is None else None
    first_s = directive.head_delay_s
    if stop is None or stop.at not in ("before_head", "in_head"):
        return [Write(head, delay_s=first_s)]
    if stop.at == "before_head":
        return [] if pause_s is None else [Write(head, delay_s=first_s + pause_s)]
    half = len(head) // 2
    start = Write(head[:half], delay_s=first_s)
    return [start] if pause_s is None else [start, Write(head[half:], delay_s=pause_s)]


def _join_head(
    head: list[Write], body: list[Write], directive: Directive, *, is_stream: bool
) -> list[Write]:
    """A body that comes at once leaves in the same write as its head."""
    if len(head) != 1 or not body or directive.stall or directive.cut:
        return head + body
    if is_stream and body[0].delay_s:
        return head + body
    # A document's head is not known before the document: both wait.
    delay_s = head[0].delay_s + body[0].delay_s
    first = body[0]._replace(wire=head[0].wire + body[0].wire, delay_s=delay_s)
    return [first, *body[1:]]


def _frame(beats: list[Beat], framing: str) -> Iterator[Write]:
    chunked = framing in CHUNKED
    last_payload, last_wire = b"", b""
    for beat in beats:
        if not beat.payload and not beat.delay_s:
            continue  # an empty chunk would end the body
        payload = wire = beat.payload
        if chunked and payload is last_payload:
            wire = last_wire  # floods repeat one object: they must not cost memory here
        elif chunked and payload:
            wire = b"%x\r\n%b\r\n" % (len(payload), payload)
        last_payload, last_wire = payload, wire
        yield Write(wire, payload, beat.tokens, beat.delay_s)
        if framing == "bad_chunk":
            yield Write(BAD_CHUNK)
            return


def _end(style: HttpStyle, framing: str) -> list[Write]:
    wire = render_trailers(style) if framing in CHUNKED and framing != "bad_chunk" else b""
    wire += style.after_end.encode("latin-1", "replace")
    return [Write(wire)] if wire else []


def _hold_wire(directive: Directive, stall: Stall | None, framing: str) -> bytes:
    if stall is None or stall.comment is None or stall.at not in COMMENTABLE:
        return b""
    payload = render_comment(stall.comment, directive.sse)
    return b"%x\r\n%b\r\n" % (len(payload), payload) if framing in CHUNKED else payload


def _ending(directive: Directive, ask: Ask, framing: str) -> Ending:
    if directive.cut is not None:
        return Ending.RESET if directive.cut.by == "rst" else Ending.CLOSE
    if directive.stall is not None and directive.stall.for_s is None:
        return Ending.HOLD
    is_last = directive.http.connection != "keep" or ask.is_http_1_0 or ask.is_last
    return Ending.CLOSE if is_last or framing in ("eof", "bad_chunk") else Ending.KEEP
