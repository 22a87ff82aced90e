"""Cutting moves no byte and loses no token."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.blocks import Writes
from gateway.simulator.pieces import cut_beats, cut_wire
from gateway.simulator.plan import Beat, Write

BEATS = st.lists(
    st.builds(Beat, payload=st.text(min_size=1).map(str.encode), tokens=st.integers(0, 3)),
    min_size=1,
    max_size=6,
)
STYLES = st.builds(
    Writes,
    events_per_write=st.integers(1, 4),
    body_bytes=st.integers(0, 5),
    in_utf8=st.booleans(),
    at=st.lists(st.integers(-1, 20), max_size=4).map(tuple),
    wire_bytes=st.integers(0, 5),
)


@given(BEATS, STYLES)
def test_whatever_the_cuts_the_bytes_and_tokens_are_the_same(beats, style):
    """The journal would lie otherwise."""
    pieces = cut_beats(beats, style)

    assert b"".join(p.payload for p in pieces) == b"".join(b.payload for b in beats)
    assert sum(p.tokens for p in pieces) == sum(b.tokens for b in beats)


@given(BEATS, STYLES)
def test_cuts_of_the_wire_keep_its_body(beats, style):
    """A piece of wire has a body only where it ends."""
    writes = [Write(b"<" + beat.payload + b">", beat.payload, beat.tokens) for beat in beats]

    pieces = cut_wire(writes, style)

    assert b"".join(p.wire for p in pieces) == b"".join(w.wire for w in writes)
    assert b"".join(p.body for p in pieces) == b"".join(b.payload for b in beats)


def test_a_cut_inside_every_character_splits_all_of_them():
    """Four bytes of one character come in four pieces."""
    pieces = cut_beats([Beat("a🐙".encode())], Writes(in_utf8=True))

    assert [piece.payload for piece in pieces] == [b"a\xf0", b"\x9f", b"\x90", b"\x99"]
