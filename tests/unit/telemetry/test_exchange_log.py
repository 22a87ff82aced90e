"""The quick way to write the line says the same as the slow one."""

import io
import json
from typing import Literal

import pytest

from gateway.config.logging import EventLogSpec, LoggingSpec
from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import ANONYMOUS, Principal
from gateway.telemetry.exchange_log import MAX_LINE_BYTES
from gateway.telemetry.logging import log_exchange
from tests.plugins.memory_log import configure_logging

JSON = LoggingSpec(format="json")
SECRET = "sk-proj-CanaryCanaryCanaryCanary"
KNOWN = "tea for two or more"

pytestmark = pytest.mark.usefixtures("restored_logging")


def make_exchange(outcome: Outcome = Outcome.FINISHED, request_id: str = "r1") -> Exchange:
    """One with something foreign in every field that can hold it."""
    exchange = Exchange(request_id, 1.0, "POST", f"/api/{SECRET}\n", f"1.2.3.4 {SECRET}", ())
    exchange.principal = ANONYMOUS
    exchange.model = f"{SECRET}\x1b[2J\udc80"
    exchange.credential_id = f"profile:{SECRET}/groq_api_key"  # whose it is, says an issuer
    exchange.error_detail = f"refused: {KNOWN} {'x' * 500}"
    exchange.upstream_request_id = f"Bearer {SECRET}"
    exchange.labels = {"note": KNOWN, "authorization": SECRET}
    exchange.settle(outcome, at=2.0)
    return exchange


@pytest.mark.parametrize("form", ["json", "logfmt", "console"])
def test_both_ways_write_the_same_line(form: Literal["json", "logfmt", "console"]) -> None:
    """A reader must not be able to tell which was taken, and neither holds a secret."""
    stream = io.StringIO()
    log = configure_logging(
        LoggingSpec(format=form), stream=stream, secrets=[KNOWN], clock=lambda: 1_700_000_000.25
    )

    log.observe(make_exchange())
    log_exchange(make_exchange())

    quick, slow = stream.getvalue().splitlines()
    assert quick == slow
    assert "Canary" * 2 not in quick
    assert KNOWN not in quick


@pytest.mark.parametrize("filler", ["", " and so on" * 30], ids=["short", "long"])
@pytest.mark.parametrize("name", ["principal", "model", "client_address", "method", "path"])
def test_what_comes_again_is_clean_each_time(name: str, filler: str) -> None:
    """Whether it is looked up or too long for that."""
    stream = io.StringIO()
    log = configure_logging(JSON, stream=stream, secrets=[KNOWN], clock=lambda: 1_700_000_000.25)
    dirty = f"{SECRET}\x1b{filler} {KNOWN}"
    exchange = Exchange("r1", 1.0, "POST", "/v1", "1.2.3.4", (), principal=ANONYMOUS)
    setattr(exchange, name, Principal(dirty, "jwt") if name == "principal" else dirty)
    exchange.settle(Outcome.FINISHED, at=2.0)

    for _ in range(2):
        log.observe(exchange)

    first, second = stream.getvalue().splitlines()
    assert first == second
    assert "and so on" in first or not filler
    assert not any(bad in first for bad in ("Canary" * 2, KNOWN, "\\u001b"))


def test_the_time_goes_on() -> None:
    """The part that is kept changes with the second."""
    stream = io.StringIO()
    times = iter([1_000_000.75, 1_000_001.0, 1_000_001.0005])
    log = configure_logging(JSON, stream=stream, clock=lambda: next(times))

    for _ in range(3):
        log.observe(make_exchange())

    written = [json.loads(line)["timestamp"] for line in stream.getvalue().splitlines()]
    assert written == [
        "1970-01-12T13:46:40.750Z",
        "1970-01-12T13:46:41.000Z",
        "1970-01-12T13:46:41.000Z",
    ]


def test_above_its_level_nothing_is_written() -> None:
    """An operator's choice, for all lines or for this one."""
    stream = io.StringIO()
    quiet = {"exchange.settled": EventLogSpec(level="debug")}

    for settings in (
        LoggingSpec(format="json", level="warning"),
        LoggingSpec(format="json", events=quiet),
    ):
        configure_logging(settings, stream=stream).observe(make_exchange())

    assert stream.getvalue() == ""


def test_a_part_of_the_lines_is_written_and_what_failed_always() -> None:
    """L05: the rest is counted; the same requests are chosen everywhere."""
    stream = io.StringIO()
    tenth = {"exchange.settled": EventLogSpec(sample=0.1)}
    log = configure_logging(LoggingSpec(format="json", events=tenth), stream=stream)

    for _ in range(2):
        for number in range(500):
            log.observe(make_exchange(request_id=f"request-{number}"))
    written = [json.loads(line)["request_id"] for line in stream.getvalue().splitlines()]
    log.observe(make_exchange(Outcome.UPSTREAM_FAILED, "request-0"))
    log.observe(make_exchange(Outcome.REJECTED, "request-1"))

    half = len(written) // 2
    assert written[:half] == written[half:]
    assert 25 <= half <= 80
    assert log.numbers.sampled == 1_000 - len(written)
    assert len(stream.getvalue().splitlines()) == len(written) + 2


def test_what_failed_is_left_out_where_that_is_said() -> None:
    """Whoever has a million refusals a day may want to."""
    stream = io.StringIO()
    none = {"exchange.settled": EventLogSpec(sample=0, keep_failed=False)}
    log = configure_logging(LoggingSpec(format="json", events=none), stream=stream)

    log.observe(make_exchange(Outcome.REJECTED))

    assert stream.getvalue() == ""
    assert log.numbers.sampled == 1


def test_the_operators_words_for_a_credential_stay() -> None:
    """A file may be called as what a vendor issues begins; nobody else chose the name."""
    stream = io.StringIO()
    log = configure_logging(JSON, stream=stream)
    exchange = make_exchange()
    exchange.credential_id = "file:/run/secrets/hf_token_main"

    log.observe(exchange)

    assert json.loads(stream.getvalue())["credential_id"] == "file:/run/secrets/hf_token_main"


def test_no_line_is_longer_than_2_kilobytes() -> None:
    """L05: whatever was put into a request; what it says of the rest stays."""
    stream = io.StringIO()
    log = configure_logging(JSON, stream=stream)
    for filler in ("x", "\\", "\u2028", "\U0001f600", '"'):
        exchange = make_exchange()
        exchange.model = exchange.error_detail = exchange.path = filler * 5_000
        exchange.client_address = exchange.upstream_request_id = filler * 5_000
        exchange.credential_id = f"profile:{filler * 5_000}/groq_api_key"
        exchange.labels = {f"{filler}{number}": filler * 900 for number in range(60)}

        log.observe(exchange)

    lines = stream.getvalue().split("\n")[:-1]
    assert len(lines) == 5
    assert all(len(line.encode()) < MAX_LINE_BYTES for line in lines)
    for fields in map(json.loads, lines):
        assert fields["outcome"] == "finished"
        for name in ("model", "path", "credential_id"):
            assert fields[name].endswith("…"), name
