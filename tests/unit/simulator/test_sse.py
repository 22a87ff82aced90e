"""Events written down."""

from gateway.simulator.blocks import Comments, Junk, SseStyle
from gateway.simulator.chunks import Event
from gateway.simulator.sse import render_comments, render_event, render_junk


def test_an_event_is_one_data_line_and_a_blank_one():
    """The form every provider's stream has by default."""
    event = Event("token", {"a": "é"})

    assert render_event(event, SseStyle()) == 'data: {"a":"é"}\n\n'.encode()


def test_a_named_event_beats_the_style():
    """An error is typed though the events around it are not."""
    event = Event("error", {}, name="error")

    assert render_event(event, SseStyle(event_line="chunk")) == b"event: error\ndata: {}\n\n"


def test_comments_are_as_many_as_asked_for():
    """None by default."""
    assert render_comments(Comments(), SseStyle()) == b""
    assert render_comments(Comments(before=2, text="x"), SseStyle(line_end="cr")) == b":x\r\r" * 2


def test_a_flood_has_its_number_to_the_unit():
    """The caps of a reader are tested at their edge."""
    pieces = render_junk(Junk(kind="empty_events", count=100_001), SseStyle())

    assert b"".join(pieces).count(b"data:\n\n") == 100_001
