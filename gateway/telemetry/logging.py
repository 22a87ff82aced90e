"""The log of one process: which lines, how they look, where they go.

The rule here: a line is chosen, shaped, cleaned and rendered, in this order, so nothing is written
that was not cleaned, whoever logged it: the gateway, a library, or Python itself. A log that cannot
be written is not a reason to fail.
"""

import logging
import sys
import textwrap
import threading
import traceback
from collections.abc import Sequence
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger
from typing_extensions import override

from gateway.config.logging import LoggingSpec
from gateway.core.clock import Clock, monotonic, system_clock
from gateway.core.durations import render_timestamp
from gateway.core.events.exchange import SETTLED
from gateway.core.exchange import Exchange
from gateway.core.log_numbers import LogNumbers
from gateway.telemetry.cleaning import PLAIN, REDACTED, Cleaner, is_secret_name, text_of
from gateway.telemetry.content_log import ContentLog
from gateway.telemetry.exchange_fields import describe_exchange
from gateway.telemetry.exchange_log import ExchangeLog
from gateway.telemetry.log_filter import LEVELS, REQUEST_ID, LogFilter
from gateway.telemetry.rendering import Render, make_console, render_json, render_logfmt
from gateway.telemetry.sinks import Sink
from gateway.telemetry.storm_guard import NEVER, StormGuard

MAX_FRAMES = 20
CONSOLE = "console"

_log = structlog.get_logger()


def log_exchange(exchange: Exchange) -> None:
    """Write the one line of a settled exchange; an observer."""
    _log.info(SETTLED, **describe_exchange(exchange))


class GatewayLog:
    """What every line of a process goes through; `apply` says how."""

    def __init__(
        self,
        sink: Sink,
        secrets: Sequence[str] = (),
        clock: Clock = system_clock,
        *,
        is_terminal: bool = False,
        is_colored: bool = True,
        is_shared: bool = False,
    ) -> None:
        """`is_colored` is about a terminal; elsewhere there are no colours."""
        self.sink = sink
        self.content = ContentLog(secrets, clock, is_shared=is_shared)
        self._cleaner = cleaner = Cleaner(secrets)
        self._clock = clock
        self._is_terminal = is_terminal
        self._is_colored = is_terminal and is_colored
        self._is_console = False
        self._filter = LogFilter(LoggingSpec())
        self._render: Render = render_json
        self._storm = StormGuard()
        self._sampled = 0
        self.observe = ExchangeLog(sink, cleaner, clock)
        self.observe.when_late = self._sum_up

    @property
    def numbers(self) -> LogNumbers:
        """What was not written, since the start."""
        sampled = self._sampled + self.observe.sampled
        return LogNumbers(self.sink.dropped, sampled, self._storm.withheld, self.content.lost)

    def apply(self, settings: LoggingSpec) -> None:
        """Write lines from here on as these settings say; all of Python's log as well.

        ContentFileError when what is said cannot be logged so; then nothing changes.
        """
        self.content.apply(settings.content)
        self.sink.max_bytes = settings.buffer_bytes
        form: str = settings.format
        if form == "auto":
            form = CONSOLE if self._is_terminal else "json"
        self._is_console = form == CONSOLE
        self._filter = LogFilter(settings)
        if form == "logfmt":
            self._render = render_logfmt
        elif form == "json":
            self._render = render_json
        else:
            self._render = make_console(is_colored=self._is_colored)
        self.observe.apply(self._filter, None if form == "json" else self._render)
        self.observe.leaves_out_empty = self._is_console
        structlog.configure(
            processors=[self._choose, self._shape, self._clean, self._write_out],
            wrapper_class=structlog.make_filtering_bound_logger(self._filter.least),
            logger_factory=lambda *_: _Writes(self.sink),
            cache_logger_on_first_use=False,  # a second call of this function has to count
        )
        root = logging.getLogger()
        root.handlers = [_Bridge()]
        root.setLevel(max(self._filter.least, logging.WARNING))
        logging.captureWarnings(capture=True)

    def say_dropped(self, count: int, for_s: float) -> None:
        """Say that so many lines are missing."""
        _log.warning("log.lines_dropped", count=count, for_s=for_s)

    def close(self, timeout_s: float) -> None:
        """Write what waits, for at most so long."""
        end_at = monotonic() + timeout_s
        self._sum_up()
        self.content.close(0.0)  # it writes what waits while the log does
        self.sink.close(timeout_s)
        self.content.close(max(0.0, end_at - monotonic()))

    def _sum_up(self) -> None:
        self.observe.late_at = NEVER
        for fields in list(self._storm.sum_up(monotonic())):
            _log.warning("log.lines_withheld", **fields)

    # The processors of structlog, in their order.

    def _choose(self, _: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        event = str(event_dict["event"])
        own_level = "error" if method == "exception" else method
        level = self._filter.level_of(event, own_level)
        if level is None:
            raise structlog.DropEvent
        now = monotonic()
        if now >= self._storm.due_at:
            self._sum_up()
        if self._filter.is_sampled(event) and not self._filter.keeps(event, own_level, event_dict):
            self._sampled += 1
            raise structlog.DropEvent
        if not self._storm.admits(event, event_dict, now):
            self.observe.late_at = self._storm.due_at
            raise structlog.DropEvent
        event_dict["level"] = level
        return event_dict

    def _shape(self, _: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
        line: dict[str, Any] = {
            "timestamp": render_timestamp(self._clock()),
            "level": event_dict.pop("level"),
            "event": event_dict.pop("event"),
        }
        event_dict.pop("timestamp", None)  # a middleware's own; the line keeps its time
        error = event_dict.pop("exc_info", None)
        if self._is_console:  # people read what is there
            line.update((n, v) for n, v in event_dict.items() if v is not None and v != "")
        else:
            line.update(event_dict)
        if error:
            line["exception"] = _render_exception(error)
        return line

    def _clean(self, _: WrappedLogger, __: str, line: EventDict) -> EventDict:
        clean = self._cleaner.clean
        exception = line.pop("exception", None)
        cleaned: dict[str, Any] = {}
        for name, value in line.items():
            written = name if name.isidentifier() else str(clean(name))
            if name == REQUEST_ID:  # was checked when it came in
                cleaned[written] = value
            elif type(value) not in PLAIN and is_secret_name(name):
                cleaned[written] = REDACTED
            else:
                cleaned[written] = clean(value)
        if exception:
            text = self._cleaner.clean_exception(str(exception))
            # Indented, no line of it can pass for a line of the log.
            cleaned["exception"] = textwrap.indent(text, "    ") if self._is_console else text
        return cleaned

    def _write_out(self, _: WrappedLogger, __: str, line: EventDict) -> bytes:
        return self._render(line)


class _Writes:
    """What structlog calls a logger."""

    def __init__(self, sink: Sink) -> None:
        self.msg = sink.put
        self.log = self.debug = self.info = self.warning = self.error = sink.put
        self.critical = self.exception = self.fatal = sink.put


class _Bridge(logging.Handler):
    """Hands the records of libraries on, so that they are cleaned like our own lines."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - arguments of somebody's that do not fit
            message = f"{text_of(record.msg)} ({type(error).__name__} in its arguments)"
        levels = [number for number in LEVELS.values() if number <= record.levelno]
        _log.log(
            max(levels, default=logging.DEBUG),
            "library.logged",
            logger=record.name,
            message=message,
            exc_info=record.exc_info,
        )


def hear_python() -> None:
    """Log what Python would print on standard error: what ends a thread, or is raised nowhere."""
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable


def _log_thread(died: threading.ExceptHookArgs) -> None:
    name = None if died.thread is None else died.thread.name
    _log.error("thread.crashed", thread=name, exc_info=died.exc_value)


def _log_unraisable(raised: "sys.UnraisableHookArgs") -> None:
    text = raised.err_msg or "Exception ignored in"
    logging.getLogger("python").error("%s", text, exc_info=raised.exc_value)


def _render_exception(error: object) -> str:
    """A traceback without the values of local variables: those hold credentials."""
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, tuple):
        error = error[1]
    if not isinstance(error, BaseException):
        return ""
    return "".join(traceback.format_exception(error, limit=-MAX_FRAMES)).rstrip()
