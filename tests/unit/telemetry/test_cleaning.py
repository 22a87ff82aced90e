"""No log line holds a credential, a second line or a megabyte."""

import json

import pytest

from gateway.telemetry.cleaning import MAX_CHARS, MAX_ITEMS, REDACTED, Cleaner, escape_invisible

SECRET = "hunter2hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Basic {SECRET}",
        f"authorization={SECRET}",
        f"'x-api-key': '{SECRET}'",
        f'{{"Authorization": "Bearer {SECRET}"}}',
        f"Set-Cookie: {SECRET}; Path=/",
        f"https://llm.example.org/v1?key={SECRET}",
        f"sk-proj-{SECRET}",
        f"Bearer {SECRET}",
    ],
)
def test_what_looks_like_a_credential_goes(text: str) -> None:
    """Errors of libraries and providers quote whatever they were given."""
    assert SECRET not in str(Cleaner().clean(text))


def test_credentials_in_use_go_whatever_they_look_like() -> None:
    """Somebody's own server takes any word for a key."""
    cleaned = str(Cleaner([SECRET]).clean(f"refused: {SECRET}!"))

    assert SECRET not in cleaned
    assert cleaned.startswith("refused: ")


def test_names_that_mean_a_credential_hide_their_value() -> None:
    """At any depth."""
    cleaned = Cleaner().clean({"headers": [{"X-API-Key": SECRET, "Accept": "*/*"}]})

    assert cleaned == {"headers": [{"X-API-Key": REDACTED, "Accept": "*/*"}]}


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x00", "\u2028", "\u202e", "\x85", "\udc80"])
def test_what_is_not_seen_is_written_out(char: str) -> None:
    """A line break forges a line, an escape sequence repaints the terminal."""
    cleaned = str(Cleaner().clean(f"a{char}b"))

    assert cleaned.isprintable()
    assert cleaned.encode()


def test_a_long_text_is_cut() -> None:
    """A model's name of a megabyte is not a line of the log."""
    assert len(str(Cleaner().clean("x" * 1_000_000))) == MAX_CHARS + 1


def test_a_long_list_is_cut() -> None:
    """So is a list."""
    assert Cleaner().clean(list(range(1_000))) == list(range(MAX_ITEMS))


@pytest.mark.parametrize("value", [None, True, 3, 1.5, "plain", ["a"], {"a": 1}])
def test_what_needs_no_cleaning_stays(value: object) -> None:
    """Numbers remain numbers."""
    assert Cleaner().clean(value) == value


def test_anything_else_becomes_text() -> None:
    """The line has to be written whatever somebody logs."""
    assert json.dumps(Cleaner().clean({"bytes": b"a\xff", "object": ValueError("x\n")}))


def test_a_traceback_keeps_its_lines() -> None:
    """It is read by people; only what stands in a line is cleaned."""
    cleaned = Cleaner().clean_exception(f"Traceback\n  File\x1b\nValueError: sk-proj-{SECRET}")

    assert cleaned.count("\n") == 2
    assert "\x1b" not in cleaned
    assert SECRET not in cleaned


def test_printable_text_is_not_touched() -> None:
    """Names are written in many alphabets."""
    assert escape_invisible("Grüße, 世界 🙂") == "Grüße, 世界 🙂"
