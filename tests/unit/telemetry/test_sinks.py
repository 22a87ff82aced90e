"""Where lines go that need no thread."""

import io

from typing_extensions import override

from gateway.telemetry.sinks import StreamSink


class Closed(io.StringIO):
    """A full disk."""

    @override
    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_stream_has_each_line_at_once() -> None:
    """Whoever looks need not wait."""
    stream = io.StringIO()
    sink = StreamSink(stream)

    sink.put("ä\n".encode())
    sink.close(0)

    assert stream.getvalue() == "ä\n"
    assert sink.flush(0)
    assert not stream.closed


def test_a_stream_that_takes_nothing_fails_nothing() -> None:
    """Requests go on; the lines are counted."""
    sink = StreamSink(Closed())

    sink.put(b"x\n")
    sink.put(b"y\n")

    assert sink.dropped == 2
