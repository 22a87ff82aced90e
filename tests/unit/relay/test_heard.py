"""Listening to a stream changes nothing of it."""

import pytest

from gateway.core.content import Content
from gateway.relay.heard import HeardReader
from gateway.relay.pumps import OpenAIPump, TextPump
from tests.unit.relay.test_pumps import STREAM, cut, pump_through, text


@pytest.mark.parametrize("part_bytes", [1, 1000, 1_000_000])
@pytest.mark.parametrize("kind", [OpenAIPump, TextPump])
def test_what_is_relayed_is_heard(kind: type, part_bytes: int) -> None:
    """However the reads were cut; the caller gets the same bytes as if nobody listened."""

    def make() -> OpenAIPump | TextPump:
        return TextPump() if kind is TextPump else OpenAIPump(wants_usage=False)

    content = Content("", 1_000)
    pump = make()
    pump.listen_with(HeardReader(content))

    relayed = pump_through(pump, cut(b"".join(STREAM), part_bytes))

    assert relayed == pump_through(make(), cut(b"".join(STREAM), part_bytes))
    assert "".join(content.answer) == " Hellö 😀"


def test_whole_chunks_are_heard_too() -> None:
    """Nearly every read is one."""
    content = Content("", 1_000)
    pump = OpenAIPump(wants_usage=False)
    pump.listen_with(HeardReader(content))
    event = text("Hi")
    framed = b"%x\r\n%b\r\n" % (len(event), event)

    assert pump.feed_chunk(framed) == framed
    assert pump.feed_chunk(b"garbage") is None
    assert content.answer == ["Hi"]
