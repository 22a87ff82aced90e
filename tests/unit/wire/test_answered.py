"""What an answer says of itself, whatever shape it has."""

import json

import pytest

from gateway.core.trace import Answered
from gateway.wire.answered import MAX_READ_BYTES, MAX_REASONS, read_ending, read_whole

ANSWER = {"id": "c-1", "model": "llama", "choices": [{"finish_reason": "stop"}]}


def test_a_whole_answer_says_it_all() -> None:
    """One choice for each reason."""
    choices = [{"finish_reason": "stop"}, {"finish_reason": "length"}]

    found = read_whole(json.dumps({**ANSWER, "choices": choices}).encode())

    assert found == Answered("llama", "c-1", ("stop", "length"))


def test_a_streams_reasons_are_those_that_were_seen() -> None:
    """Each choice ends in an event of its own; the last one has the model's name too."""
    found = read_ending(json.dumps(ANSWER).encode(), ["length", "stop"])

    assert found == Answered("llama", "c-1", ("length", "stop"))


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"[]", b'{"model": 5, "id": {}, "choices": null}', b"\xff", b"[" * 9999],
)
def test_what_cannot_be_read_is_left_out(body: bytes) -> None:
    """A provider may send anything, and nobody fails for a span."""
    assert read_whole(body) == Answered()
    assert read_ending(body, [None, 5, "stop"]) == Answered(finish_reasons=("stop",))


def test_what_is_read_is_bounded() -> None:
    """An answer of many MiB, or of a hundred choices, does not hold the loop up."""
    large = json.dumps({**ANSWER, "filling": "x" * MAX_READ_BYTES}).encode()

    assert read_whole(large) == Answered()
    assert len(read_ending(b"", ["stop"] * 100).finish_reasons) == MAX_REASONS
