"""The one line of a settled exchange, written by the thousand.

The rule here: the same fields, cleaned the same way, as if it had gone through structlog; a test
holds the two against each other. At most 2 KB, whatever somebody put into a request.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from gateway.config.logging import LoggingSpec
from gateway.core.clock import Clock, monotonic, system_clock
from gateway.core.credential import SOMEBODYS
from gateway.core.events.exchange import SETTLED
from gateway.core.exchange import Exchange, Outcome
from gateway.telemetry.cleaning import Cleaner
from gateway.telemetry.exchange_fields import FOREIGN, RECURRING, describe_exchange
from gateway.telemetry.log_filter import LogFilter
from gateway.telemetry.rendering import Render, encode_json
from gateway.telemetry.sinks import Sink
from gateway.telemetry.storm_guard import NEVER

MAX_LINE_BYTES = 2_048
# Of each field that others can fill, one after the other until the line is short enough.
_SHORTER_BYTES = (512, 256, 128, 64)

_FINISHED = Outcome.FINISHED
_FRESH = tuple(name for name in FOREIGN if name not in RECURRING)
_recurring_of = itemgetter(*RECURRING)
_CACHED_CHARS = 256  # of them together, as many as `Cleaner` keeps of one
_MILLISECONDS = [b".%03dZ" % number for number in range(1000)]


class ExchangeLog:
    """An observer. JSON lines take 8 µs each, where structlog's processors take 30."""

    def __init__(self, sink: Sink, cleaner: Cleaner, clock: Clock = system_clock) -> None:
        self.sampled = 0  # lines that `logging.events` left out
        self.leaves_out_empty = False
        # To be called where something is to be said from `late_at` on; asked with every line.
        self.late_at = NEVER
        self.when_late: Callable[[], None] = lambda: None
        self._put = sink.put
        self._clean = cleaner.clean
        self._find_unclean = lru_cache(maxsize=1_024)(self._clean_recurring)
        self._clock = clock
        self._second = 0
        self._prefix = b""  # the timestamp down to that second
        self._level: str | None = None
        self._begin = b""
        self._filter = LogFilter(LoggingSpec())
        self._render: Render | None = None
        self._is_sampled = False
        self.apply(self._filter, None)

    def apply(self, log_filter: LogFilter, render: Render | None) -> None:
        """Write from here on as this says; `render` is None for JSON."""
        self._filter = log_filter
        self._render = render
        self._level = log_filter.level_of(SETTLED, "info")
        self._is_sampled = log_filter.is_sampled(SETTLED)
        self._begin = b'{"timestamp":"%%b","level":"%b","event":"%b",' % (
            (self._level or "").encode(),
            SETTLED.encode(),
        )

    def __call__(self, exchange: Exchange) -> None:
        """Write the line of a settled exchange."""
        if self._level is None:
            return
        if self._is_sampled and not self._filter.keeps_exchange(
            SETTLED, exchange.request_id, has_failed=exchange.outcome is not _FINISHED
        ):
            self.sampled += 1
            return
        line = describe_exchange(exchange)
        self._clean_line(line)
        if self._render is None:
            written = self._begin % self._timestamp() + encode_json(line)[1:] + b"\n"
        else:
            written = self._write_out(line)
        if len(written) > MAX_LINE_BYTES:
            written = self._shorten(line)
        self._put(written)
        if self.late_at is not NEVER and monotonic() >= self.late_at:
            self.when_late()

    def _clean_line(self, line: dict[str, Any]) -> None:
        recurring = _recurring_of(line)
        is_short = sum(map(len, filter(None, recurring))) <= _CACHED_CHARS
        # One look-up for the five: 6 % of what a line takes.
        line.update((self._find_unclean if is_short else self._clean_recurring)(recurring))
        for name in _FRESH:
            value = line.get(name)
            if value is not None:
                line[name] = self._clean(value)
        credential_id = line["credential_id"]
        if credential_id is not None and credential_id.startswith(SOMEBODYS):
            line["credential_id"] = self._clean(credential_id)

    def _clean_recurring(self, values: tuple[str | None, ...]) -> dict[str, object]:
        """What must not stand as it is, and what stands there instead; most often nothing."""
        return {
            name: clean
            for name, value in zip(RECURRING, values, strict=True)
            if value is not None and (clean := self._clean(value)) != value
        }

    def _write_out(self, line: Mapping[str, Any]) -> bytes:
        if self._render is None:
            return self._begin % self._timestamp() + encode_json(line)[1:] + b"\n"
        head = {"timestamp": self._timestamp().decode(), "level": self._level, "event": SETTLED}
        if self.leaves_out_empty:
            line = {
                name: value for name, value in line.items() if value is not None and value != ""
            }
        return self._render({**head, **line})

    def _timestamp(self) -> bytes:
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._second = second
            prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._prefix = prefix.encode()
        return self._prefix + _MILLISECONDS[int((now - second) * 1000)]

    def _shorten(self, line: dict[str, Any]) -> bytes:
        written = b""
        for most_bytes in _SHORTER_BYTES:
            for name in (*FOREIGN, "credential_id"):
                line[name] = _cut(line.get(name), most_bytes)
            if line["labels"] is None:
                del line["labels"]
            written = self._write_out(line)
            if len(written) <= MAX_LINE_BYTES:
                break
        return written


def _cut(value: Any, most_bytes: int) -> Any:  # noqa: ANN401 - whatever stood there
    """The value with at most so many bytes of text; of labels, those that fit together."""
    if isinstance(value, str):
        encoded = value.encode("utf-8", "replace")
        if len(encoded) <= most_bytes:
            return value
        return encoded[:most_bytes].decode("utf-8", "ignore") + "…"
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for name, inner in value.items():
            most_bytes -= len(str(name).encode()) + len(str(inner).encode())
            if most_bytes < 0:
                break
            kept[name] = inner
        return kept or None
    return value
