"""One line for each event, for machines or for people."""

import io
import json
import logging
import re
import warnings
from typing import Literal

import pytest
import structlog

from gateway.config.logs import LoggingSpec
from gateway.core.exchange import Exchange, Outcome
from gateway.telemetry.logging import configure_logging, log_exchange

SECRET = "sk-proj-CanaryCanaryCanaryCanary"

pytestmark = pytest.mark.usefixtures("restored_logging")


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class Closed(io.StringIO):
    """A full disk."""

    def write(self, _: str) -> int:
        """Fail."""
        raise OSError(28, "No space left on device")


def refuse_secret() -> None:
    """Fail with a secret in a local variable and in the text."""
    local_secret = SECRET
    raise ValueError(f"refused: {local_secret}")


def forge_lines() -> None:
    """Fail with a text that looks like a log."""
    raise ValueError("bad\n1970-01-01 [info] forged")


def configure(
    stream: io.StringIO,
    form: Literal["auto", "json", "console"] = "json",
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


def test_a_log_that_cannot_be_written_fails_nothing() -> None:
    """Requests go on when the disk is full."""
    configure(Closed()).info("x.happened")


def test_what_cannot_be_written_as_json_is_written_as_text() -> None:
    """A lone surrogate out of a request's bytes, an object of somebody's."""
    stream = io.StringIO()

    configure(stream).info("x.happened", model="\udc80", thing=object(), raw=b"\xff")

    assert json.loads(stream.getvalue())["event"] == "x.happened"
