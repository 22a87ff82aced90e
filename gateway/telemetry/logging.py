"""Log lines: JSON where a machine reads them, coloured text on a terminal.

The rule here: an event is past tense (`exchange.settled`), one line, and nothing that was not
cleaned is written. A log that cannot be written is not a reason to fail.
"""

import logging
import sys
import textwrap
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger
from typing_extensions import override

from gateway.config.settings import LoggingSpec
from gateway.core.clock import Clock, system_clock
from gateway.core.exchange import Exchange
from gateway.telemetry.cleaning import PLAIN, REDACTED, SECRET_NAMES, Cleaner
from gateway.telemetry.exchange_fields import describe_exchange

EXCHANGE_SETTLED = "exchange.settled"
MAX_FRAMES = 20
REQUEST_ID = "request_id"

_encode = msgspec.json.Encoder(enc_hook=repr).encode
_log = structlog.get_logger()


def log_exchange(exchange: Exchange) -> None:
    """Write the one line of a settled exchange; an observer."""
    _log.info(EXCHANGE_SETTLED, **describe_exchange(exchange))


def configure_logging(
    settings: LoggingSpec,
    *,
    stream: TextIO,
    secrets: Sequence[str] = (),
    clock: Clock = system_clock,
) -> None:
    """Send every line there, those of libraries too; `secrets` never appear in one."""
    for_people = is_console(settings, stream)
    level = _level_of(settings.level)
    render: Processor = _render_json
    if for_people:
        render = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
            pad_event_to=0,
            sort_keys=False,
        )
    structlog.configure(
        processors=[_LineMaker(Cleaner(secrets), clock, is_console=for_people), render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _LineWriter(stream),
        cache_logger_on_first_use=False,  # a second call of this function has to count
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)


def is_console(settings: LoggingSpec, stream: TextIO) -> bool:
    """True where people read the lines."""
    return settings.format == "console" or (settings.format == "auto" and stream.isatty())


def writes(settings: LoggingSpec, level: str) -> bool:
    """True when lines of this level are written."""
    return _level_of(level) >= _level_of(settings.level)


def _level_of(name: str) -> int:
    return logging.getLevelNamesMapping()[name.upper()]


class _LineMaker:
    """From what was logged to what may be written, in the order in which it is read."""

    def __init__(self, cleaner: Cleaner, clock: Clock, *, is_console: bool) -> None:
        self._cleaner = cleaner
        self._clock = clock
        self._is_console = is_console

    def __call__(self, _: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        now = datetime.fromtimestamp(self._clock(), UTC)
        line: dict[str, Any] = {
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": "error" if method == "exception" else method,
            "event": event_dict.pop("event"),
        }
        error = event_dict.pop("exc_info", None)
        clean = self._cleaner.clean
        is_console = self._is_console
        for name, value in event_dict.items():
            if is_console and (value is None or value == ""):  # people read what is there
                continue
            if type(value) in PLAIN or name == REQUEST_ID:  # an id was checked when it came in
                line[name] = value
            else:
                line[name] = REDACTED if name in SECRET_NAMES else clean(value)
        if error:
            text = self._cleaner.clean_exception(_render_exception(error))
            # Indented, no line of it can pass for a line of the log.
            line["exception"] = textwrap.indent(text, "    ") if is_console else text
        return line


class _LineWriter:
    """Writes lines; what structlog calls a logger."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line and let it go at once."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # A full disk, a closed pipe: requests go on.
            return

    log = debug = info = warning = error = critical = exception = fatal = msg


class _Bridge(logging.Handler):
    """Hands the records of libraries on, so that they are cleaned like our own lines."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno,
            "library.logged",
            logger=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )


def _render_json(_: WrappedLogger, __: str, line: EventDict) -> str:
    return _encode(line).decode()


def _render_exception(error: object) -> str:
    """A traceback without the values of local variables: those hold credentials."""
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, tuple):
        error = error[1]
    if not isinstance(error, BaseException):
        return ""
    return "".join(traceback.format_exception(error, limit=-MAX_FRAMES)).rstrip()
