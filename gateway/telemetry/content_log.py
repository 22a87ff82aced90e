"""What was said, in a stream of its own, for those whose operator has switched it on.

The rule here: off by default, never where other lines are, and in no file that others can read.
Credentials are taken out before anything is cut, so that half of one is not left.
"""

import contextlib
import json
import os
import stat
from collections.abc import Sequence

from gateway.config.logging import ALL, STDERR, ContentLogSpec
from gateway.core.clock import Clock, system_clock
from gateway.core.content import Content
from gateway.core.durations import render_timestamp
from gateway.core.events.exchange import CONTENT
from gateway.core.exchange import Exchange
from gateway.telemetry.cleaning import Cleaner
from gateway.telemetry.line_file import LineFile
from gateway.telemetry.log_writer import MAX_BYTES, LogWriter
from gateway.telemetry.sinks import Sink
from gateway.wire.transcript import render_answer, render_prompt

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2
OWNER_ONLY = 0o600
OTHERS, OTHERS_READ = 0o077, 0o044  # bits of a mode
# A prompt and an answer, each byte of which is written as `\u0001`, and the rest of the line.
LINE_FACTOR = 2 * len("\\u0001") + 1


class ContentFileError(Exception):
    """The file for what was said cannot be used; says why."""


class ExposedFileError(ContentFileError):
    """Others can read the file, and that is not ours to change."""

    def __init__(self, to: str, found: os.stat_result) -> None:
        super().__init__(
            f"`logging.content.to`: {to} can be read by others than its owner, and the gateway may "
            "not change that; give the file to the user it runs as, or take it away"
        )
        self.found = found


class ContentLog:
    """Asked for every request that is relayed; an observer of its end."""

    def __init__(
        self,
        secrets: Sequence[str] = (),
        clock: Clock = system_clock,
        *,
        is_shared: bool = False,
    ) -> None:
        self.is_on = False
        self._dropped = 0  # by those that have ended
        self._ending: list[Sink] = []  # those that are closed, and may still have lines
        self._cleaner = Cleaner(secrets)
        self._clock = clock
        self._is_shared = is_shared
        self._sink: Sink | None = None
        self._file: os.stat_result | None = None  # where that writes to
        self._principals: frozenset[str] | None = frozenset()  # None: all
        self._max_bytes = 0

    def apply(self, spec: ContentLogSpec | None) -> None:
        """Log so from here on; ContentFileError when that cannot be, and then nothing changes.

        The file is opened anew, so that it may have been moved away. Nothing more is written to one
        that others can read by now.
        """
        try:
            sink, file = (None, None) if spec is None else self._start(spec)
        except ExposedFileError as error:
            if self._file is not None and os.path.samestat(self._file, error.found):
                self.close(0.0)
            raise
        self.close(0.0)
        self._sink, self._file = sink, file
        if spec is not None:
            self._max_bytes = spec.max_bytes
            self._principals = None if spec.principals == ALL else frozenset(spec.principals)
        self.is_on = sink is not None

    def begin(self, exchange: Exchange, messages: bytes) -> None:
        """A request is about to be relayed."""
        if self._is_wanted(exchange):
            # More than is written is looked at: a credential may stand across the cut.
            most = self._max_bytes + self._cleaner.slack
            exchange.content = Content(render_prompt(messages, most), most)

    def hear_whole(self, content: Content, body: bytes) -> None:
        """An answer that is not streamed."""
        content.begin_answer()
        content.hear(render_answer(body, content.max_chars))

    def observe(self, exchange: Exchange) -> None:
        """Write down what was said, if that is wanted; an observer."""
        content = exchange.content
        if content is None or self._sink is None:
            return
        exchange.content = None
        if not self._is_wanted(exchange):  # since it began, the settings were read anew
            return
        own = exchange.credential_secret
        secrets = () if own is None else (own.get_secret_value(),)
        clean = self._cleaner.redact
        prompt, answer = (
            _cut(clean(text, secrets), self._max_bytes)
            for text in (content.prompt, "".join(content.answer))
        )
        line = {
            "timestamp": render_timestamp(self._clock()),
            "level": "info",
            "event": CONTENT,
            "request_id": exchange.request_id,
            "principal": None if exchange.principal is None else exchange.principal.name,
            "provider": exchange.provider,
            "model": clean(exchange.model, secrets),
            "outcome": exchange.outcome,
            "prompt": prompt[0],
            "answer": answer[0],
            "is_cut": prompt[1] or answer[1],
        }
        # ASCII alone: no line separator and no command to a terminal stands in it.
        self._sink.put(json.dumps(line).encode() + b"\n")

    @property
    def lost(self) -> int:
        """Lines that were not written, since the start."""
        sinks = self._ending if self._sink is None else [*self._ending, self._sink]
        return self._dropped + sum(sink.dropped for sink in sinks)

    def close(self, timeout_s: float) -> None:
        """Write what waits, for at most so long; what comes later is not logged."""
        self.is_on = False
        if self._sink is not None:
            self._ending.append(self._sink)
            self._sink = None
        for sink in list(self._ending):
            if sink.close(timeout_s):
                self._ending.remove(sink)
                self._dropped += sink.dropped

    def _is_wanted(self, exchange: Exchange) -> bool:
        principal = "local" if exchange.principal is None else exchange.principal.name
        return self._principals is None or principal in self._principals

    def _start(self, spec: ContentLogSpec) -> tuple[Sink, os.stat_result]:
        descriptor = STANDARD_ERROR if spec.to == STDERR else _open(spec.to)
        file = LineFile(
            descriptor, is_shared=self._is_shared, is_owned=descriptor != STANDARD_ERROR
        )
        try:
            _check(descriptor, spec.to)
        except ContentFileError:
            file.close()
            raise
        # Nobody's words are too long to wait.
        max_bytes = max(MAX_BYTES, LINE_FACTOR * spec.max_bytes)
        return LogWriter(file, max_bytes=max_bytes, name="gateway-content"), os.fstat(descriptor)


def _open(to: str) -> int:
    # Not blocking: a named pipe without a reader is a mistake, and nothing to wait for.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(to, flags, OWNER_ONLY)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ContentFileError(f"`logging.content.to`: {to}: {reason}") from None


def _check(descriptor: int, to: str) -> None:
    if _is_same(descriptor, STANDARD_OUTPUT):
        raise ContentFileError(
            f"`logging.content.to`: {to} is where the log goes; name a file of its own"
        )
    if to != STDERR:
        _hide_from_others(descriptor, to)


def _hide_from_others(descriptor: int, to: str) -> None:
    """Have a file that was there before, perhaps for all to read, read by its owner alone."""
    found = os.fstat(descriptor)
    # Whoever made a pipe has said who reads it, and a device is everybody's.
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & OTHERS:
        return
    with contextlib.suppress(OSError):  # it is not ours; or modes are nothing to where it is
        os.fchmod(descriptor, OWNER_ONLY)
    found = os.fstat(descriptor)
    if found.st_mode & OTHERS_READ:
        raise ExposedFileError(to, found)


def _is_same(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:  # one of them is closed
        return False


def _cut(text: str, most_bytes: int) -> tuple[str, bool]:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most_bytes:
        return encoded.decode(), False
    return encoded[:most_bytes].decode("utf-8", "ignore") + "…", True
