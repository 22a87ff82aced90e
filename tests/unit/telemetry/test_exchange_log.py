"""The quick way to write the line says the same as the slow one."""

import asyncio
import io
import json

import pytest

from gateway.config.settings import LoggingSpec
from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import ANONYMOUS
from gateway.telemetry.exchange_log import ExchangeLog, make_exchange_log
from gateway.telemetry.logging import configure_logging, log_exchange

JSON = LoggingSpec(format="json")
SECRET = "sk-proj-CanaryCanaryCanaryCanary"
KNOWN = "tea for two or more"

pytestmark = pytest.mark.usefixtures("restored_logging")


class Closed(io.StringIO):
    """A full disk."""

    def write(self, _: str) -> int:
        """Fail."""
        raise OSError(28, "No space left on device")


def make_exchange() -> Exchange:
    """One with something foreign in every field that can hold it."""
    exchange = Exchange("r1", 1.0, "POST", f"/api/{SECRET}\n", f"1.2.3.4 {SECRET}", ())
    exchange.principal = ANONYMOUS
    exchange.model = f"{SECRET}\x1b[2J\udc80"
    exchange.error_detail = f"refused: {KNOWN} {'x' * 5_000}"
    exchange.upstream_request_id = f"Bearer {SECRET}"
    exchange.labels = {"note": KNOWN, "authorization": SECRET}
    exchange.settle(Outcome.FINISHED, at=2.0)
    return exchange


async def turn_of_the_loop() -> None:
    """Let what was scheduled happen."""
    await asyncio.sleep(0)


async def test_both_ways_write_the_same_line() -> None:
    """A reader must not be able to tell which was taken, and neither holds a secret."""
    quick, slow = io.StringIO(), io.StringIO()
    configure_logging(JSON, stream=slow, secrets=[KNOWN], clock=lambda: 1_700_000_000.25)
    observer = make_exchange_log(
        JSON, stream=quick, secrets=[KNOWN], clock=lambda: 1_700_000_000.25
    )

    observer(make_exchange())
    log_exchange(make_exchange())
    await turn_of_the_loop()

    assert json.loads(quick.getvalue()) == json.loads(slow.getvalue())
    assert "Canary" * 2 not in quick.getvalue()
    assert KNOWN not in quick.getvalue()


async def test_lines_of_one_turn_go_out_together() -> None:
    """Each is a line of its own all the same."""
    stream = io.StringIO()
    observer = make_exchange_log(JSON, stream=stream)

    for _ in range(3):
        observer(make_exchange())
    before = stream.getvalue()
    await turn_of_the_loop()
    observer(make_exchange())
    await turn_of_the_loop()

    assert before == ""
    assert len([json.loads(line) for line in stream.getvalue().splitlines()]) == 4


async def test_the_time_goes_on() -> None:
    """The part that is kept changes with the second."""
    stream = io.StringIO()
    times = iter([1_000_000.75, 1_000_001.0, 1_000_001.0005])
    observer = make_exchange_log(JSON, stream=stream, clock=lambda: next(times))

    for _ in range(3):
        observer(make_exchange())
    await turn_of_the_loop()

    written = [json.loads(line)["timestamp"] for line in stream.getvalue().splitlines()]
    assert written == [
        "1970-01-12T13:46:40.750Z",
        "1970-01-12T13:46:41.000Z",
        "1970-01-12T13:46:41.000Z",
    ]


async def test_a_log_that_cannot_be_written_fails_nothing() -> None:
    """Requests go on when the disk is full."""
    make_exchange_log(JSON, stream=Closed())(make_exchange())

    await turn_of_the_loop()


def test_on_a_terminal_people_read_it() -> None:
    """That goes through structlog."""
    observer = make_exchange_log(LoggingSpec(format="console"), stream=io.StringIO())

    assert observer is log_exchange


async def test_above_its_level_nothing_is_written() -> None:
    """An operator's choice."""
    stream = io.StringIO()
    observer = make_exchange_log(LoggingSpec(format="json", level="warning"), stream=stream)

    observer(make_exchange())
    await turn_of_the_loop()

    assert stream.getvalue() == ""
    assert not isinstance(observer, ExchangeLog)
