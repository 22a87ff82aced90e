"""Lines of pairs, read back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.logs.logfmt import parse_logfmt
from gateway.logs.rendering import render_logfmt
from tests.plugins.log_lines import other, settled


def as_written(fields: dict[str, Any]) -> bytes:
    """Write a line; labels as the gateway writes them."""
    labels = fields.get("labels") or {}
    flat = {name: value for name, value in fields.items() if name != "labels"}
    return render_logfmt(b"", flat | {f"labels.{name}": v for name, v in labels.items()}).encode()


@pytest.mark.parametrize(
    "fields",
    [
        settled(),
        settled(model='a "b"=c\\d', error_detail="two\nlines\u2028", path="", stream=False),
        settled(labels={"team": "search", "n": "1"}),
        settled(added_s=1e-06, duration_s=0.25, cost_micros=10**15, status=None),
        other("worker.died", worker=0, exit_code=-9, lived_s=1.5),
    ],
)
def test_a_line_becomes_what_it_is_as_json(fields: dict[str, Any]) -> None:
    """Conditions and sums ask the same of both."""
    parsed = parse_logfmt(as_written(fields))

    assert parsed == fields
    assert list(parsed or ())[:3] == ["timestamp", "level", "event"]


def test_a_list_is_one_again() -> None:
    """`would_refuse=day` holds for a line in either form."""
    line = settled(would_refuse=["day", "a month"])
    written = as_written(line | {"would_refuse": "day,a month"})

    assert parse_logfmt(written) == parse_logfmt(as_written(line)) == line


@given(st.text())
def test_any_text_is_read_back(text: str) -> None:
    """A caller chooses the name of a model."""
    fields = other("x.y", reason=text.encode("utf-8", "replace").decode())

    assert parse_logfmt(as_written(fields)) == fields


@given(st.binary(max_size=80))
def test_nothing_in_a_line_is_an_error(text: bytes) -> None:
    """What is not made of pairs is nobody's."""
    parse_logfmt(b"timestamp=2026-11-28T12:00:00.000Z event=x " + text)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"level=info event=x",
        b"timestamp=now level=info",
        b"timestamp=now event=x and words",
        b'timestamp=now event=x reason="half',
        b'timestamp=now event=x reason="\\q"',
        b"timestamp=now event=x reason=\xff",
        json.dumps(settled()).encode(),
    ],
)
def test_what_the_gateway_did_not_write_is_nothing(line: bytes) -> None:
    """Half a line, a sentence, another format."""
    assert parse_logfmt(line) is None


def test_what_stands_in_front_is_passed_over() -> None:
    """As for JSON."""
    assert parse_logfmt(b"Nov 28 host gateway[1]: " + as_written(other("x.y"))) == other("x.y")


def test_a_number_without_end_is_no_error() -> None:
    """Python refuses to read one of five thousand digits."""
    parsed = parse_logfmt(b"timestamp=now event=x status=" + b"9" * 5_000)

    assert parsed is not None
    assert parsed["status"] == "9" * 5_000


def test_a_number_that_is_none_stays_text() -> None:
    """It meets no condition about numbers, and ends nothing."""
    parsed = parse_logfmt(b"timestamp=now event=x status=many stream=perhaps duration_s=nan")

    assert parsed is not None
    assert (parsed["status"], parsed["stream"], parsed["duration_s"]) == ("many", "perhaps", "nan")
