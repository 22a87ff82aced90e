"""Which reply a directive means."""

import pytest

from gateway.simulator.asking import Ask
from gateway.simulator.choosing import read_directive
from gateway.simulator.replies import write_reply


@pytest.mark.parametrize(
    ("wish", "asked", "is_stream", "content_type"),
    [
        ({}, True, True, "text/event-stream; charset=utf-8"),
        ({}, False, False, "application/json"),
        ({"answer": "json"}, True, False, "application/json"),
        ({"answer": "stream"}, False, True, "text/event-stream; charset=utf-8"),
        ({"error": {}}, True, False, "application/json"),
        ({"body": "abc"}, True, True, "text/event-stream; charset=utf-8"),
        ({"http": {"content_type": "x/y"}}, True, True, "x/y"),
    ],
)
def test_a_reply_is_a_stream_or_a_document(wish, asked, is_stream, content_type):
    """Asked for one, a provider may give the other."""
    reply = write_reply(read_directive(wish), Ask(stream=asked), "id")

    assert (reply.is_stream, reply.content_type) == (is_stream, content_type)


def test_given_bytes_are_sent_untouched():
    """Recorded answers are replayed so."""
    reply = write_reply(read_directive({"body": "é\r\n", "status": 201}), Ask(), "id")

    assert reply.status == 201
    assert b"".join(beat.payload for beat in reply.beats) == "é\r\n".encode()
