"""The contract of a receiver, held by the connection for any bytes in any cuts."""

import asyncio
import itertools
import re

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.upstream.connection import Connection
from tests.plugins.raw_provider import REQUEST, Recorder

# One head at most and first, then bodies, then one end of either kind.
CONTRACT = re.compile(r"(head (body )*)?(end|failed) ")

START = b"HTTP/1.1 200 OK\r\n"
answers = st.sampled_from(
    [
        START + b"Content-Length: 3\r\n\r\nabc",
        START + b"Content-Length: 0\r\n\r\n",
        START + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nX: y\r\n\r\n",
        START + b"\r\ndata: a\n\n",
        START + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        START + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
        START + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        START + b"Content-Encoding: br\r\n\r\nabc",
        b"HTTP/1.1 103 Early\r\n\r\n" + START + b"Content-Length: 1\r\n\r\na",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"garbage\r\n\r\n",
        b"",
    ]
)
endings = st.sampled_from([None, ConnectionResetError()])


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.is_shut = False

    def write(self, data: object) -> None:
        """Lose it."""

    def abort(self) -> None:
        """Shut."""
        self.is_shut = True

    def is_closing(self) -> bool:
        """Say whether it was aborted."""
        return self.is_shut

    def resume_reading(self) -> None:
        """Nothing was paused."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0


# Cut where a chunk begins, and again where the next one does: seen in one run of many.
@example(
    START + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
    b"",
    [47, 55],
    None,
)
@given(answers, st.binary(max_size=3), st.lists(st.integers(0, 120), max_size=6), endings)
def test_calls_come_in_the_promised_order(
    answer: bytes, excess: bytes, places: list[int], ending: Exception | None
) -> None:
    """The relay settles an exchange by them: a second end would settle it twice."""
    recorder = Recorder()
    wire = Wire()
    connection = Connection("Groq", on_idle=lambda _: None, on_gone=lambda _: None)
    connection.connection_made(wire)
    connection.send(REQUEST, recorder)
    sent = answer + excess
    edges = [0, *sorted(place for place in places if place < len(sent)), len(sent)]

    for start, end in itertools.pairwise(edges):
        if start < end and not wire.is_shut:
            connection.data_received(sent[start:end])
    connection.connection_lost(ending)

    assert CONTRACT.fullmatch(" ".join([*recorder.calls, ""])), recorder.calls
