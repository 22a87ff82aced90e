"""One line for each event, for machines or for people."""

import io
import json
import logging
import os
import re
import warnings
from pathlib import Path
from typing import Literal

import pytest
import structlog

from gateway.config.logging import ContentLogSpec, EventLogSpec, LoggingSpec
from gateway.core.clock import monotonic
from gateway.core.exchange import Exchange, Outcome
from gateway.telemetry.line_file import LineFile
from gateway.telemetry.log_writer import LogWriter
from gateway.telemetry.logging import GatewayLog, log_exchange
from tests.plugins.memory_log import configure_logging

SECRET = "sk-proj-CanaryCanaryCanaryCanary"

pytestmark = pytest.mark.usefixtures("restored_logging")


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def refuse_secret() -> None:
    """Fail with a secret in a local variable and in the text."""
    local_secret = SECRET
    raise ValueError(f"refused: {local_secret}")


def forge_lines() -> None:
    """Fail with a text that looks like a log."""
    raise ValueError("bad\n1970-01-01 [info] forged")


def configure(
    stream: io.StringIO,
    form: Literal["auto", "json", "console", "logfmt"] = "json",
    level: Literal["debug", "info", "warning", "error"] = "info",
) -> structlog.typing.FilteringBoundLogger:
    """A logger that writes there, at the beginning of time."""
    configure_logging(LoggingSpec(format=form, level=level), stream=stream, clock=lambda: 0.0)
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def test_a_line_is_json_with_time_level_and_event() -> None:
    """Time in UTC: machines of one fleet stand in different zones."""
    stream = io.StringIO()

    configure(stream).info("gateway.started", url="http://x")

    assert json.loads(stream.getvalue()) == {
        "timestamp": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "event": "gateway.started",
        "url": "http://x",
    }


@pytest.mark.parametrize("form", ["json", "logfmt", "console"])
def test_no_field_takes_the_place_of_the_lines_own(
    form: Literal["json", "logfmt", "console"],
) -> None:
    """A middleware may log what it likes; what reads the lines needs their time and level."""
    stream = io.StringIO()
    log = configure(stream, form)

    log.info("gateway.started", timestamp="yesterday", level="loud", url="x")
    log.info("gateway.started", url="x")

    first, second = stream.getvalue().splitlines()
    assert first == second


def test_an_exchange_is_one_line() -> None:
    """With everything there is to say."""
    stream = io.StringIO()
    configure(stream)
    exchange = Exchange("r1", 1.0, "POST", "/api/chat/x", "10.0.0.9", (log_exchange,))
    exchange.model = 'evil\n{"event":"forged"}'

    exchange.settle(Outcome.FINISHED, at=2.0)

    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "exchange.settled"
    assert json.loads(line)["duration_s"] == 1.0


def test_an_error_has_its_traceback_and_no_values() -> None:
    """The values of local variables are where credentials are."""
    stream = io.StringIO()
    logger = configure(stream)
    try:
        refuse_secret()
    except ValueError:
        logger.exception("request.crashed")

    line = json.loads(stream.getvalue())
    assert "Traceback" in line["exception"]
    assert "refuse_secret" in line["exception"]
    assert "Canary" * 2 not in stream.getvalue()


def test_secrets_in_use_are_never_written() -> None:
    """Whatever they look like, wherever they stand."""
    stream = io.StringIO()
    configure_logging(LoggingSpec(format="json"), stream=stream, secrets=["tea for two or more"])

    structlog.get_logger().info("x.happened", note="said: tea for two or more", authorization="x")

    assert "tea for" not in stream.getvalue()
    assert json.loads(stream.getvalue())["authorization"] == "[redacted]"


def test_lines_below_the_level_are_not_written() -> None:
    """An operator's choice."""
    stream = io.StringIO()

    configure(stream, level="warning").info("exchange.settled")

    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("console", io.StringIO(), False),
    ],
)
def test_the_form_follows_who_reads(
    form: Literal["auto", "json", "console"], stream: io.StringIO, *, is_json: bool
) -> None:
    """A terminal is for people, anything else is a file."""
    configure(stream, form).info("x.happened")

    assert stream.getvalue().startswith("{") == is_json


def test_on_a_terminal_nothing_can_forge_a_line() -> None:
    """Neither by a line break nor by what moves the cursor."""
    stream = io.StringIO()
    logger = configure(stream, "console")

    try:
        forge_lines()
    except ValueError:
        logger.exception("x.failed", model="a\n1970-01-01 [info] forged \x1b[2J", empty=None)

    lines = stream.getvalue().splitlines()
    assert [line for line in lines if re.match(r"\S*1970.*forged", line)] == [lines[0]]
    assert "x.failed" in lines[0]
    assert "\x1b" not in stream.getvalue()
    assert "empty" not in stream.getvalue()


def test_libraries_write_into_the_same_log() -> None:
    """Cleaned like all else: aiohttp and asyncio log what they were given."""
    stream = io.StringIO()
    configure(stream)

    logging.getLogger("aiohttp.server").error("cannot %s", SECRET)
    logging.getLogger("aiohttp.server").info("not of interest")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["logger"]) for line in lines] == [
        ("library.logged", "aiohttp.server"),
        ("library.logged", "py.warnings"),
    ]
    assert "Canary" * 2 not in stream.getvalue()


def test_what_cannot_be_written_as_json_is_written_as_text() -> None:
    """A lone surrogate out of a request's bytes, an object of somebody's."""
    stream = io.StringIO()

    configure(stream).info("x.happened", model="\udc80", thing=object(), raw=b"\xff")

    assert json.loads(stream.getvalue())["event"] == "x.happened"


class Unprintable:
    """An object of somebody's that cannot be shown."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("not now")


FORGED = [
    "a\nb",
    "a\r\nb",
    "\x1b[31mred",
    "a\u2028b",
    "a\x00b",
    "\x9b2J",
    "x" * 1_000_000,
    '" level=error',
]


@pytest.mark.parametrize("form", ["json", "logfmt"])
@pytest.mark.parametrize("text", FORGED, ids=range(len(FORGED)))
def test_a_line_is_one_line_in_every_form(form: Literal["json", "logfmt"], text: str) -> None:
    """L02: whatever somebody sends, in a value, in a name, or in an exception."""
    stream = io.StringIO()
    logger = configure(stream, form)

    logger.error("x.failed", exc_info=ValueError(text), model=text, **{text[:2_000]: 1})

    written = stream.getvalue()
    assert len(written.splitlines()) == 1
    assert written.count(" level=error event=") == (form == "logfmt")
    assert len(written) < 20_000
    assert not any(char in written for char in "\x1b\x9b\u2028\x00\r")


def test_what_cannot_be_shown_fails_nobody() -> None:
    """Observation fails open: the request that was logged about goes on."""
    stream = io.StringIO()
    logger = configure(stream)

    logger.info("x.happened", thing=Unprintable())
    logging.getLogger("library").error("%d of %s", *("many",))
    logging.getLogger("library").error(Unprintable())
    logger.info("x.happened", Authorization=SECRET, count=1 << 70)

    first, second, third, fourth = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["thing"] == "<Unprintable that cannot be shown: RuntimeError>"
    assert second["message"] == "%d of %s (TypeError in its arguments)"
    assert "that cannot be shown" in third["message"]
    assert (fourth["Authorization"], fourth["count"]) == ("[redacted]", str(1 << 70))


def test_an_event_has_the_level_that_was_chosen_for_it() -> None:
    """Above its own and below the log's, or the other way round; a reload changes it."""
    stream = io.StringIO()
    settings = LoggingSpec(
        format="json",
        level="warning",
        events={
            "gateway.stopped": EventLogSpec(level="error"),
            "task.crashed": EventLogSpec(level="info"),
        },
    )
    log = configure_logging(settings, stream=stream)
    logger = structlog.get_logger()

    logger.info("gateway.stopped")
    logger.error("task.crashed", task="x")
    log.apply(LoggingSpec(format="logfmt"))
    logger.error("task.crashed", task="x")

    first, second = stream.getvalue().splitlines()
    assert json.loads(first)["level"] == "error"
    assert "level=error event=task.crashed task=x" in second


def test_two_that_nobody_reads_are_waited_for_together(tmp_path: Path) -> None:
    """At its end a process waits for what is left; a log that is stuck costs no other its lines."""
    reader, writer = os.pipe()
    log = GatewayLog(LogWriter(LineFile(writer)))
    content = ContentLogSpec(to=str(tmp_path / "said"), principals="all")
    log.apply(LoggingSpec(format="json", content=content))
    log.sink.put(b"x" * 100_000 + b"\n")  # more than a pipe takes
    exchange = Exchange("r1", 1.0, "POST", "/", "127.0.0.1", (log.content.observe,))
    log.content.begin(exchange, b"[]")
    exchange.settle(Outcome.FINISHED, at=2.0)

    began_at = monotonic()
    log.close(0.2)
    took_s = monotonic() - began_at
    os.close(reader)  # lets the thread go on to its end
    log.sink.close(5)
    os.close(writer)

    assert took_s < 0.4
    assert len((tmp_path / "said").read_text().splitlines()) == 1


def test_floods_and_samples_are_counted() -> None:
    """L05: what is not written is known."""
    stream = io.StringIO()
    tenth = {"key.refused": EventLogSpec(sample=0.1)}
    log = configure_logging(LoggingSpec(format="json", events=tenth), stream=stream)

    for _ in range(100):
        structlog.get_logger().error("task.crashed", task="x")
        structlog.get_logger().info("key.refused", key="x", reason="expired")
    log.close(0)

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    crashed = [line for line in lines if line["event"] == "task.crashed"]
    assert log.numbers.sampled == 90
    assert log.numbers.withheld == 100 - len(crashed)
    [withheld] = [line for line in lines if line["event"] == "log.lines_withheld"]
    assert withheld["count"] == log.numbers.withheld
