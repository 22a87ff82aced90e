"""Lines out of bytes."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.logs.lines import (
    MAX_LINE_BYTES,
    TOO_DEEP,
    TOO_LONG,
    LineCutter,
    as_json,
    as_text,
    find_object,
    parse_line,
    read_batches,
)
from tests.plugins.log_lines import line_of, other, settled


def cut(*pieces: bytes, starts_inside: bool = False) -> list[bytes]:
    """Every line of some pieces."""
    cutter = LineCutter(starts_inside=starts_inside)
    lines = [line for piece in pieces for line in cutter.feed(piece)]
    return lines + cutter.end()


@given(st.binary(max_size=60).map(lambda text: text.replace(b"\0", b"")), st.data())
def test_lines_do_not_depend_on_how_they_arrive(text: bytes, data: st.DataObject) -> None:
    """A read ends anywhere."""
    at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    whole = text.split(b"\n")

    assert cut(*pieces) == whole[:-1] + ([whole[-1]] if whole[-1] else [])


def test_a_line_that_never_ends_is_not_kept() -> None:
    """Two gigabytes without a line break would be two gigabytes of memory."""
    piece = b"x" * (MAX_LINE_BYTES // 2 + 1)

    assert cut(b"a\n", piece, piece, piece, b"y\nb\n") == [b"a", TOO_LONG, b"b"]


def test_half_a_line_at_the_start_is_dropped() -> None:
    """Whoever looks at the end of a file lands inside of one."""
    assert cut(b"alf", b" a line\nwhole\n", starts_inside=True) == [b"whole"]


def test_a_hole_is_no_line() -> None:
    """A file that was emptied under a writer without O_APPEND begins with zeros."""
    assert cut(b"\0" * 5000, b"\0" * 70 + b'{"a":1}\n') == [b'{"a":1}']


def test_a_source_is_read_to_its_end() -> None:
    """Also the line that nothing ended."""
    batches = list(read_batches(io.BytesIO(b"a\nb\nc")))

    assert [line for batch in batches for line in batch] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    "prefix",
    [
        b"",
        b"Nov 28 12:00:00 host gateway[123]: ",
        b"gateway-1  | ",
        b"2026-11-28T12:00:00.1Z stdout F ",
    ],
)
def test_what_stands_in_front_is_passed_over(prefix: bytes) -> None:
    """journalctl, compose and a container's runtime put something there."""
    line = line_of(settled())

    assert find_object(prefix + line) == line
    assert parse_line(prefix + line) == settled()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"listening  http://127.0.0.1:8080",
        b'  File "gateway/app.py", line 1, in <module>',
        line_of(settled())[:100],
        line_of(settled())[100:],
        line_of(settled()) + line_of(settled()),
        b"{}",
        b'{"event":"x"}',
        b'{"timestamp":1,"event":"x"}',
        b'{"timestamp":"now","event":{}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"timestamp":"\xff","event":"x"}',
        b'["timestamp"]',
        TOO_LONG,
    ],
)
def test_what_the_gateway_did_not_write_is_nothing(line: bytes) -> None:
    """A banner, a traceback, half a line, and what somebody wrote to break the reader."""
    assert parse_line(line) is None


@given(st.binary(max_size=200))
def test_nothing_in_a_line_is_an_error(line: bytes) -> None:
    """A log is read when something has gone wrong already."""
    fields = parse_line(line)

    assert fields is None or json.loads(find_object(line) or b"")["event"] == fields["event"]


def test_a_value_is_shown_as_a_text() -> None:
    """As JSON has it, unless it is one."""
    values = ["a b", 1, 0.5, None, True, [1], {"a": 10**25}]

    assert [as_text(value) for value in values] == [
        "a b",
        "1",
        "0.5",
        "null",
        "true",
        "[1]",
        '{"a":10000000000000000000000000}',
    ]


def test_a_value_that_is_nested_too_deep_is_no_error() -> None:
    """It could just be read, and showing it stands a little higher."""
    value: list[object] = []
    for _ in range(50_000):
        value = [value]

    assert as_json(value) == TOO_DEEP


def test_a_line_of_another_event_is_one_too() -> None:
    """Not everything is an exchange."""
    assert parse_line(line_of(other("gateway.started", worker=0))) == other(
        "gateway.started", worker=0
    )
