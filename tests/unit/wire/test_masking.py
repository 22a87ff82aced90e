"""What a provider quotes of a credential beside its answer does not reach the caller."""

import json

import pytest

from gateway.wire.masking import holds_secret, mask_event, mask_fault
from gateway.wire.redaction import MIN_SECRET_CHARS
from gateway.wire.sse import parse_event

SECRET = "canary/credential+0451"
SECRETS = (SECRET,)


def fault(message: str) -> bytes:
    """An event with an error, as most providers write it."""
    return f"data: {json.dumps({'error': {'message': message, 'code': 401}})}\n\n".encode()


@pytest.mark.parametrize(
    "event",
    [
        b": OPENROUTER PROCESSING\n\n",
        b'data: {"choices":[],  "usage": {"total_tokens": 1e2}}\r\n\r\n',
        fault("The key \u00e9 is wrong."),
        b'event: error\nid: 7\ndata: {"error":\ndata: {"message": "no"}}\n\n',
        b"data: {half\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: \xff\xfe\n\n",
        b"",
    ],
)
def test_an_event_without_a_credential_keeps_every_byte(event: bytes) -> None:
    """The first promise, also for errors that cannot be read."""
    assert mask_event(event, SECRETS) == event
    assert mask_fault(event, SECRETS) == event
    assert mask_fault(event, ()) == event


def test_a_comment_loses_the_credential_alone() -> None:
    """Everything else in it stays."""
    event = f": for {SECRET}, wait\n\n".encode()

    assert mask_event(event, SECRETS) == ": for …0451, wait\n\n".encode()
    assert mask_event(event, ("wait", "")) == event  # too short to be one


def test_the_shortest_that_is_looked_for_is_found() -> None:
    """One character fewer would be found everywhere."""
    secret = "zq7-" * MIN_SECRET_CHARS
    for length, is_found in ((MIN_SECRET_CHARS - 1, False), (MIN_SECRET_CHARS, True)):
        short = secret[:length]
        text = f"for {short}."

        assert holds_secret(text, [short]) == is_found, short
        assert (mask_event(text.encode(), [short]) != text.encode()) == is_found, short


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        SECRET.replace("/", "\\/"),
        "".join(f"\\u{ord(char):04x}" for char in SECRET),
    ],
    ids=["plain", "slash", "escaped"],
)
def test_an_error_loses_it_however_it_is_written(written: str) -> None:
    """JSON has several ways to write any character."""
    event = f'event: error\ndata: {{"error": {{"message": "No: {written}.", "n": 1.50}}}}\n\n'

    masked = mask_fault(event.encode(), SECRETS)

    kind, payload = parse_event(masked)
    assert masked.endswith(b"\n\n")
    assert (kind, json.loads(payload or b"")) == (
        b"error",
        {"error": {"message": "No: …0451.", "n": 1.5}},
    )


def test_an_error_loses_what_looks_like_a_credential() -> None:
    """Some providers quote a key half masked, and half is too much."""
    masked = mask_fault(fault("Incorrect API key provided: sk-proj-abcdefghijkl4321."), ())

    assert json.loads(masked[6:])["error"] == {
        "message": "Incorrect API key provided: …4321.",
        "code": 401,
    }


def test_names_and_lists_are_looked_at_too() -> None:
    """A validation error has its place there."""
    said = {"error": [{SECRET: [SECRET, None, 1]}]}

    masked = mask_fault(f"data: {json.dumps(said)}\n\n".encode(), SECRETS)

    assert json.loads(masked[6:]) == {"error": [{"…0451": ["…0451", None, 1]}]}


@pytest.mark.parametrize("text", [f"data: no {SECRET}\n\n", f": {SECRET}\ndata: {{}}\n\n"])
def test_what_is_not_json_or_beside_it_is_masked_as_text(text: str) -> None:
    """A line of plain text, or a comment before the error."""
    assert SECRET.encode() not in mask_fault(text.encode(), SECRETS)


def test_a_credential_is_found_in_a_header() -> None:
    """What is too short to be one is not looked for: it would be found everywhere."""
    assert holds_secret(f"req-{SECRET}", SECRETS)
    assert not holds_secret("req-1", (*SECRETS, "1"))
