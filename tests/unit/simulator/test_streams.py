"""Streams as beats."""

from gateway.simulator.asking import Ask
from gateway.simulator.choosing import read_directive
from gateway.simulator.plan import Beat
from gateway.simulator.streams import place_after, write_stream


def test_a_place_is_right_after_its_tokens():
    """Cuts, stalls, junk and errors all count the same way."""
    beats = [Beat(b"role"), Beat(b"a", 1), Beat(b"comment"), Beat(b"b", 1), Beat(b"finish")]

    assert [place_after(beats, tokens) for tokens in (0, 1, 2, 9)] == [1, 2, 4, 5]


def test_an_error_ends_the_stream_at_its_token():
    """Nothing of the answer comes after it."""
    directive = read_directive({"count": 9, "stream_error": {"after_tokens": 2}})

    kinds = [beat.kind for beat in write_stream(directive, Ask(), "id")]

    assert kinds == ["role", "token", "token", "error"]


def test_an_error_may_come_behind_every_finish_reason():
    """OpenRouter says twice why an answer ended, and then that it failed (wire 0.1)."""
    error = {"at": "after_finish", "shape": "openrouter"}
    directive = read_directive({"count": 2, "finish": "twice", "stream_error": error})

    beats = write_stream(directive, Ask(), "id")

    assert [beat.kind for beat in beats] == [
        *("role", "token", "token", "finish", "finish", "error", "done")
    ]
    assert b'"completion_tokens":2' in beats[5].payload


def test_given_events_replace_ours():
    """Native dialects are simulated so."""
    directive = read_directive({"events": [{"a": 1}, {"b": 2}], "done": "never"})

    payloads = [beat.payload for beat in write_stream(directive, Ask(), "id")]

    assert payloads == [b'data: {"a":1}\n\n', b'data: {"b":2}\n\n']
