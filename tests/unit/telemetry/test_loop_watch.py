"""A loop that is late says so, and one that stands still is told on."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from gateway.telemetry.loop_watch import LINE_EVERY_S, WINDOW_S, LoopWatch
from gateway.telemetry.numbers import Spread


@contextmanager
def running(watch: LoopWatch) -> Iterator[LoopWatch]:
    """Start it, and end it."""
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def count(spread: Spread) -> int:
    """How many values it has."""
    return sum(spread.counts)


async def test_it_beats_and_measures() -> None:
    """Whatever is done at a beat is done each time."""
    second = asyncio.get_running_loop().create_future()
    beats: list[float] = []

    def act() -> None:
        beats.append(watch.beat_at)
        if len(beats) == 2:
            second.set_result(None)

    with running(LoopWatch(beat_s=0.001)) as watch:
        watch.at_each_beat.append(act)
        await second

    assert beats[0] < beats[1]
    assert count(watch.lag.read()) >= 2


async def test_what_fails_at_a_beat_keeps_nothing_else_from_its_turn() -> None:
    """The loop reports it, as it does every mistake in a callback."""
    loop = asyncio.get_running_loop()
    reported: list[object] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    came = loop.create_future()
    mistake = ZeroDivisionError("a mistake")

    def fail() -> None:
        raise mistake

    with running(LoopWatch(beat_s=0.001)) as watch:
        watch.at_each_beat += [fail, lambda: came.done() or came.set_result(None)]
        await came

    assert mistake in reported


async def test_it_ends_with_its_thread() -> None:
    """A gateway that is over leaves nothing behind."""
    with running(LoopWatch()):
        assert "loop-watchdog" in [thread.name for thread in threading.enumerate()]

    assert "loop-watchdog" not in [thread.name for thread in threading.enumerate()]


async def test_one_that_is_over_is_not_late() -> None:
    """While a gateway stops, its database may take its time."""
    with running(LoopWatch()) as watch:
        assert watch.beat_at > 0

    assert watch.beat_at == 0


def test_a_long_lag_has_a_line_and_many_have_one() -> None:
    """A machine that is too small must not fill its log with that."""
    watch = LoopWatch()

    with capture_logs() as lines:
        watch.note_lag(0.25, 1.0)
        watch.note_lag(0.3, 2.0)
        watch.note_lag(0.4, 3.0)
        watch.note_lag(0.5, 2.0 + LINE_EVERY_S)

    assert [(line["event"], line["lag_s"], line["times"]) for line in lines] == [
        ("loop.lagged", 0.3, 1),
        ("loop.lagged", 0.5, 2),
    ]


def test_the_largest_lag_is_forgotten_after_a_while() -> None:
    """It is to be seen by a scrape each half minute, and not for ever."""
    watch = LoopWatch()
    watch.note_lag(0.2, 100.0)

    seen = []
    for windows in (0.5, 1.5, 2.5):
        watch.note_lag(0.1, 100.0 + windows * WINDOW_S)
        seen.append(watch.max_lag_s)

    assert seen == [pytest.approx(lag) for lag in (0.2, 0.2, 0.1)]


async def test_a_loop_that_stands_still_is_told_on_once() -> None:
    """K08: with the line that holds it up, while it does; afterwards nobody would know."""
    told = threading.Event()
    watch = LoopWatch(beat_s=0.02, blocked_s=0.1)

    with capture_logs() as lines, running(watch):
        began = asyncio.get_running_loop().create_future()
        watch.at_each_beat.append(lambda: began.done() or began.set_result(None))
        await began
        stand_still(told, lines)

    [line] = [line for line in lines if line["event"] == "loop.blocked"]
    assert line["for_s"] >= 0.1
    assert any(one.endswith(" stand_still") and __file__ in one for one in line["stack"])


def stand_still(told: threading.Event, lines: list[dict[str, object]]) -> None:
    """Hold the loop up until the line is there, and for three more looks."""
    while not any(line["event"] == "loop.blocked" for line in lines):
        told.wait(0.01)
    told.wait(0.06)
