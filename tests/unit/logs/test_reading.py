"""Batches of lines: chosen, summed, counted."""

import tracemalloc

import pytest

from gateway.core.moments import parse_moment
from gateway.logs.choice import Choice
from gateway.logs.conditions import parse_condition
from gateway.logs.reading import Reader
from gateway.logs.rendering import render_logfmt
from gateway.logs.summary import Summary
from tests.plugins.log_lines import line_of, other, settled

FOREIGN = [
    b"listening  http://127.0.0.1:8080",
    line_of(settled())[:-20],
    line_of(settled(status="two hundred")),
    b'not one of "exchange.settled"',
    b'{"message":"about \\"exchange.settled\\"","x":"exchange.settled"}',
    b"[" * 100_000 + b'"exchange.settled"',
]
TOLD = line_of(other("library.logged", message="exchange.settled", x=["exchange.settled"]))


def test_lines_are_chosen_and_counted() -> None:
    """What was passed over is said in the end."""
    reader = Reader(Choice([parse_condition("status>=500")]))
    failed = line_of(settled(status=502))

    chosen = reader.choose([b"", line_of(settled()), failed, *FOREIGN[:2], b"  ", TOLD])

    assert chosen == [(failed, settled(status=502))]
    assert (reader.lines, reader.foreign) == (5, 2)


@pytest.mark.parametrize("words", [(), ("provider=groq",)])
def test_exchanges_are_summed_and_others_are_not(words: tuple[str, ...]) -> None:
    """With conditions and without it is the same sum."""
    reader = Reader(Choice([parse_condition(word) for word in words]))
    summary = Summary()

    reader.add_up(
        [b"", line_of(settled()), *FOREIGN, line_of(other("gateway.started")), TOLD], summary
    )

    ((_, found),) = summary.groups()
    assert found.exchanges == 1
    assert (reader.lines, reader.foreign) == (3 + len(FOREIGN), len(FOREIGN))


@pytest.mark.parametrize("words", [(), ("provider=groq",)])
def test_a_line_behind_half_a_one_is_not_lost(words: tuple[str, ...]) -> None:
    """Who was killed while writing left the half one; the next one went on behind it."""
    whole = settled(status=502, labels={"timestamp": "x"})
    torn = line_of(settled())[:100] + line_of(whole)
    reader, summary = (
        Reader(Choice([parse_condition(word) for word in words])),
        Summary(("status",)),
    )

    chosen = reader.choose([torn])
    reader.add_up([torn], summary)

    assert chosen == [(line_of(whole), whole)]
    assert [name for name, _ in summary.groups()] == [("502",)]
    assert (reader.lines, reader.foreign) == (2, 0)


def test_lines_of_pairs_are_summed_too() -> None:
    """Whoever writes logfmt has the same questions."""
    reader, summary = Reader(Choice()), Summary()
    line = render_logfmt(b"", settled(error_code="x", stream=False)).encode()

    reader.add_up([line, line[:-9] + b'"', line.replace(b"status=200", b"status=ok")], summary)

    ((_, found),) = summary.groups()
    assert (found.exchanges, found.cost_micros, dict(found.codes)) == (1, 30, {"x": 1})
    assert (reader.lines, reader.foreign) == (3, 2)


@pytest.mark.parametrize(("word", "count"), [("status=502", 1), ("event!=exchange.settled", 0)])
def test_a_summary_is_of_what_is_meant(word: str, count: int) -> None:
    """The same words as for lines."""
    reader = Reader(Choice([parse_condition(word)]))
    summary = Summary()

    reader.add_up([line_of(settled()), line_of(settled(status=502))], summary)

    assert sum(found.exchanges for _, found in summary.groups()) == count


def test_a_summary_is_of_its_span() -> None:
    """Without looking further inside."""
    summary = Summary()
    reader = Reader(Choice(since=parse_moment("2026-11-28T12:30", 0)))

    reader.add_up([line_of(settled()), line_of(settled("2026-11-28T13:00:00.000Z"))], summary)

    assert summary.first == "2026-11-28T13:00:00.000Z"


def test_memory_does_not_grow_with_lines() -> None:
    """A log of two gigabytes is summed up on a small machine."""
    batch = [line_of(settled(duration_s=number / 7)) for number in range(1, 200)]
    reader, summary = Reader(Choice()), Summary()
    for _ in range(6):
        reader.add_up(batch, summary)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    for _ in range(30):
        reader.add_up(batch, summary)

    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 200_000  # the times alone of 6000 exchanges are 500 000
