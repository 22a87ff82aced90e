"""What follows from what is measured, on a clock and a machine that tests set."""

import asyncio

import pytest

from gateway.config.overload import OverloadSpec
from gateway.core.exchange import Exchange
from gateway.overload.machine import Reading
from gateway.overload.pressure import BEAT_S, BEATS_PER_READING, LATE_S, OVER_S, Pressure
from gateway.overload.seats import Seats
from tests.plugins.chain import LogLines

GIB = 1024**3
WELL = Reading(1 * GIB, 4 * GIB, 100, 1_000)


class Desk:
    """A pressure whose beats a test makes."""

    def __init__(self, in_flight: int = 200, **fields: object) -> None:
        self.now = 1_000.0
        self.reading = WELL
        self.seats = Seats(10_000)
        self.pressure = Pressure(
            OverloadSpec.model_validate(fields), self.seats, lambda: self.reading, lambda: self.now
        )
        for _ in range(in_flight):
            self.seats.take(Exchange("a", 1.0, "POST", "/", "unix", ()), "alice")

    def beat(self, lag_s: float = 0.0, times: int = 1) -> None:
        """So many beats that were so late."""
        for _ in range(times):
            self.now += BEAT_S + lag_s
            self.pressure.look(lag_s)


def test_a_loop_in_time_lets_all_in() -> None:
    """A few milliseconds are every day's."""
    desk = Desk()

    desk.beat(0.01, times=50)

    assert desk.seats.limit == 10_000


def test_one_pause_is_no_load() -> None:
    """A large body that is parsed, a collection: the next beat is in time."""
    desk = Desk()

    desk.beat(0.2)
    desk.beat(times=5)
    desk.beat(1.5)
    desk.beat(times=5)

    assert desk.seats.limit == 10_000


def test_a_burst_that_is_over_within_a_second_is_served() -> None:
    """All who came were welcome, though it took a moment."""
    desk = Desk()

    desk.beat(0.2, times=3)
    desk.beat(0.01, times=20)

    assert desk.seats.limit == 10_000


def test_a_lag_that_lasts_lets_in_less_until_it_is_gone() -> None:
    """M02: a little less each beat, and a little more when it is better."""
    desk = Desk()

    desk.beat(0.15, times=10)
    lowest = desk.seats.limit
    assert 100 < lowest < 200

    desk.beat(times=20)
    assert lowest < desk.seats.limit < 1_000
    desk.beat(times=40)
    assert desk.seats.limit == 10_000


def test_a_great_lag_lets_in_much_less() -> None:
    """M02: above 250 ms there is no time for small steps."""
    desk, other = Desk(), Desk()

    desk.beat(1.0, times=10)
    other.beat(0.2, times=10)
    assert other.seats.limit < 10_000

    assert desk.seats.limit < 0.8 * other.seats.limit


def test_a_lag_without_load_is_somebody_else_s() -> None:
    """Refusing would not mend it."""
    desk = Desk(in_flight=5)

    desk.beat(1.0, times=10)

    assert desk.seats.limit == 10_000


@pytest.mark.parametrize(
    "reading",
    [Reading(int(3.5 * GIB), 4 * GIB, 100, 1_000), Reading(1 * GIB, 4 * GIB, 850, 1_000)],
    ids=["memory", "files"],
)
def test_memory_and_files_that_run_out_let_in_less(reading: Reading) -> None:
    """M02: before there are none left."""
    desk = Desk()
    desk.reading = reading

    desk.beat(times=BEATS_PER_READING + 1)
    assert desk.seats.limit <= 180

    desk.reading = WELL
    desk.beat(times=100)
    assert desk.seats.limit == 10_000


def test_what_the_machine_does_not_say_is_no_reason() -> None:
    """Not every system has /proc, nor a limit."""
    desk = Desk()
    desk.reading = Reading(None, None, None, None)

    desk.beat(times=20)

    assert desk.seats.limit == 10_000


def test_connections_that_nobody_uses_are_closed_when_files_are_short() -> None:
    """M02: once a second for as long as that lasts."""
    desk = Desk()
    closed: list[float] = []
    desk.pressure.when_short_of_files.append(lambda: closed.append(desk.now))
    desk.beat(times=20)
    assert closed == []

    desk.reading = Reading(1 * GIB, 4 * GIB, 850, 1_000)
    desk.beat(times=2 * BEATS_PER_READING)
    assert len(closed) == 2


def test_switched_off_it_only_closes_what_is_idle() -> None:
    """What `max_in_flight` says holds all the same."""
    desk = Desk(enabled=False)

    desk.beat(1.0, times=20)

    assert desk.seats.limit == 10_000


def test_after_a_lag_deadlines_prove_nothing_for_a_while() -> None:
    """M10: what came meanwhile lies unread."""
    desk = Desk()
    assert not desk.pressure.has_lagged()

    desk.beat(0.5)
    assert desk.pressure.has_lagged()

    desk.beat(times=int(LATE_S / BEAT_S) + 1)
    assert not desk.pressure.has_lagged()


async def test_a_lag_is_known_before_the_beat_that_would_measure_it() -> None:
    """M10: after a stop, timers of others may come first."""
    desk = Desk()
    desk.pressure.start()
    assert not desk.pressure.has_lagged()

    desk.now += BEAT_S + 0.3

    assert desk.pressure.has_lagged()
    desk.pressure.stop()


async def test_it_beats_by_itself_until_it_is_stopped() -> None:
    """Real timers: nobody has to ask."""
    beats = asyncio.Event()

    def read() -> Reading:
        beats.set()
        return WELL

    pressure = Pressure(OverloadSpec(), Seats(10), read)
    pressure.start()
    async with asyncio.timeout(10):
        await beats.wait()
    pressure.stop()
    pressure.stop()

    assert pressure.reading == WELL
    assert pressure.lag_s < 10


def test_an_overload_has_a_line_when_it_begins_and_one_when_it_is_over(log_lines: LogLines) -> None:
    """Not one for each who is refused."""
    desk = Desk()
    desk.beat(0.5, times=10)
    for _ in range(50):
        desk.pressure.note_refusal()
    desk.beat(times=int(OVER_S / BEAT_S) + 1)
    desk.beat(times=5)

    (began,) = log_lines.find("overload.began")
    assert (began["level"], began["cause"], began["in_flight"]) == ("warning", "lag", 200)
    assert began["limit"] < 200
    (ended,) = log_lines.find("overload.ended")
    assert (ended["level"], ended["refused"]) == ("info", 50)


def test_a_full_house_is_told_as_such(log_lines: LogLines) -> None:
    """Nothing was wrong with the machine."""
    Desk().pressure.note_refusal()

    assert log_lines.find("overload.began")[0]["cause"] == "in_flight"


def test_who_is_turned_away_at_the_door_is_said_once_a_second(log_lines: LogLines) -> None:
    """M01: a line for each would be most of the cost, and without any nobody would know."""
    desk = Desk()
    desk.seats.most, desk.seats.limit = 200, 200.0
    desk.pressure.door.note([(b"Authorization", b"Bearer gw-a")], "alice")
    asked = (
        b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer gw-a\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    for _ in range(50):
        assert desk.pressure.turn_away(asked)
    assert log_lines.find("overload.turned_away") == []

    desk.beat(times=2 * BEATS_PER_READING)
    desk.pressure.door.note([(b"Authorization", b"Bearer gw-a")], "alice")
    assert desk.pressure.turn_away(asked)
    desk.pressure.stop()

    first, last = log_lines.find("overload.turned_away")
    assert (first["count"], last["count"]) == (50, 1)
    assert (first["cause"], first["in_flight"], first["limit"]) == ("in_flight", 200, 200)
