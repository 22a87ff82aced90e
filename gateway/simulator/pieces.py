"""Where bytes are cut into writes: by event, by size, inside characters, at given offsets.

The rule here: cutting moves no byte and loses no token; it only decides what leaves together.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gateway.simulator.plan import Beat, Write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.simulator.blocks import Writes

CONTINUATION_MASK, CONTINUATION = 0xC0, 0x80


def cut_beats(beats: list[Beat], writes: Writes) -> list[Beat]:
    """The beats, joined and cut as asked."""
    if writes.at:
        return _cut_at(_join(beats), writes.at, writes.drip_s)
    if writes.events_per_write > 1:
        size = writes.events_per_write
        beats = [_join(beats[i : i + size]) for i in range(0, len(beats), size)]
    if writes.in_utf8:
        beats = [
            piece
            for beat in beats
            for piece in _cut_at(beat, _inside_characters(beat.payload), writes.drip_s)
        ]
    if writes.body_bytes:
        beats = [
            piece
            for beat in beats
            for piece in _cut_at(
                beat, range(0, len(beat.payload), writes.body_bytes), writes.drip_s
            )
        ]
    return beats


def cut_wire(writes: list[Write], style: Writes) -> list[Write]:
    """Every write cut by size, head and chunk sizes included."""
    size = style.wire_bytes
    if not size:
        return writes
    found: list[Write] = []
    for write in writes:
        starts = range(0, max(1, len(write.wire)), size)
        for start in starts:
            is_last = start == starts[-1]
            found.append(
                Write(
                    wire=write.wire[start : start + size],
                    body=write.body if is_last else b"",
                    tokens=write.tokens if is_last else 0,
                    delay_s=style.drip_s if start else write.delay_s,
                )
            )
    return found


def _join(beats: list[Beat]) -> Beat:
    payload = b"".join(beat.payload for beat in beats)
    tokens = sum(beat.tokens for beat in beats)
    return Beat(payload, tokens, beats[0].delay_s if beats else 0.0)


def _inside_characters(payload: bytes) -> list[int]:
    return [i for i, byte in enumerate(payload) if byte & CONTINUATION_MASK == CONTINUATION]


def _cut_at(beat: Beat, offsets: Iterable[int], drip_s: float) -> list[Beat]:
    size = len(beat.payload)
    places = sorted({0, size, *(offset for offset in offsets if 0 < offset < size)})
    pieces = [beat.payload[start:end] for start, end in pairwise(places)] or [beat.payload]
    return [
        Beat(
            payload=piece,
            tokens=beat.tokens if number == len(pieces) - 1 else 0,
            delay_s=drip_s if number else beat.delay_s,
            kind=beat.kind,
        )
        for number, piece in enumerate(pieces)
    ]
