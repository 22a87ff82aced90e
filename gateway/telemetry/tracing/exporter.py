"""Sends spans to the collector, in the background.

The rule here: nobody waits for the collector. What waits to be sent is bounded, what does not fit
is dropped and counted, and one line says when the collector fails and one when it answers again.
Each span that was dropped is counted in one line, and none in two.
"""

import asyncio
import gzip
import random
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

import aiohttp
import msgspec
import structlog
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from gateway import __version__
from gateway.config.tracing import TracingSpec
from gateway.core.clock import Clock, monotonic

# So many are sent at once, without waiting for more; half a queue where that is smaller, or it
# would be full before anybody sent it.
BATCH_SPANS = 512
FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 30.0
MAX_RETRY_AFTER_S = 300.0
MAX_ANSWER_BYTES = 64 * 1024
SAY_EVERY_S = 10.0  # that spans are dropped, while the collector answers
# What OTLP says may be tried again; everything else is the batch's own fault, or ours.
RETRYABLE = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

# OTLP says 200; what stands before a collector may say that it has accepted it, or nothing.
_SUCCESS = range(200, 300)

PutAround = Callable[[Iterable[bytes]], bytes]
CountRefused = Callable[[bytes], int]
"""How many spans an answer says were refused."""

_log = structlog.get_logger()


class Verdict(msgspec.Struct, frozen=True):
    """What became of one try to send a batch."""

    reason: str = ""  # why it failed
    may_pass: bool = False  # the same may be taken later
    refused: int = 0  # of the spans, where the rest was taken
    wait_s: float | None = None  # as the collector asks


class Exporter:
    """A queue of spans and the connection that empties it."""

    def __init__(
        self,
        spec: TracingSpec,
        put_around: PutAround,
        count_refused: CountRefused,
        clock: Clock = monotonic,
    ) -> None:
        """OSError when `ca_file` cannot be used."""
        self.sent = 0
        self.dropped = 0
        self._spec = spec
        self._tls = _open_tls(spec)
        self._batch_spans = min(BATCH_SPANS, max(spec.max_queued_spans // 2, 1))
        self._put_around = put_around
        self._count_refused = count_refused
        self._queue: deque[tuple[bytes, int]] = deque()
        self._queued = 0  # spans in the queue and in the batch that is being sent
        self._wake = asyncio.Event()
        self._is_ending = False
        self._ending = asyncio.Event()
        self._is_failing = False
        self._clock = clock
        self._said = 0  # of those dropped
        self._say_at = 0.0  # not before

    @property
    def waiting(self) -> int:
        """Spans that are not sent yet."""
        return self._queued

    @property
    def is_failing(self) -> bool:
        """Whether the collector takes nothing."""
        return self._is_failing

    def count_spans(self) -> dict[str, int]:
        """Spans by what became of them, for the metrics."""
        return {"sent": self.sent, "dropped": self.dropped}

    def put(self, written: bytes, spans: int) -> None:
        """Have spans sent that belong together; they are dropped where there is no place."""
        if self._queued + spans > self._spec.max_queued_spans:
            self.dropped += spans
            return
        self._queue.append((written, spans))
        self._queued += spans
        if self._queued >= self._batch_spans:
            self._wake.set()

    async def run(self) -> None:
        """Send until told to end, and then what is left."""
        async with self._open_session() as session:
            is_last = False
            while not is_last:
                await self._wait_for_spans()
                is_last = self._is_ending
                await self._send_waiting(session)

    def end(self) -> None:
        """Have `run` send what is left, and return."""
        self._is_ending = True
        self._ending.set()
        self._wake.set()

    def give_up(self) -> None:
        """Count what was not sent; after `run`."""
        left = self._queued
        self._queue.clear()
        self._queued = 0
        self.dropped += left
        count = self._count_unsaid()
        if count:
            _log.warning("tracing.spans_lost", count=count)

    async def _wait_for_spans(self) -> None:
        try:
            async with asyncio.timeout(self._spec.export_every_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _send_waiting(self, session: ClientSession) -> None:
        """Send until too little is left for a batch; at the end all, if the collector is there."""
        while self._queue:
            is_there = await self._send_next(session)
            if self._is_ending:
                if not is_there:
                    return
            elif self._queued < self._batch_spans:
                self._wake.clear()  # that there was a batch is no news any more
                return

    async def _send_next(self, session: ClientSession) -> bool:
        """Send one batch, however often it takes; at the end once more and no more.

        False when the collector is not there.
        """
        batch, spans = self._take_batch()
        body = self._put_around(batch)
        if self._spec.compression == "gzip":
            body = await asyncio.to_thread(gzip.compress, body, 1)
        backoff_s = FIRST_BACKOFF_S
        while True:
            verdict = await self._post(session, body)
            self._note(verdict)
            if not verdict.reason or not verdict.may_pass or self._is_ending:
                break
            wait_s = verdict.wait_s
            if wait_s is None:  # jitter, so that workers do not come back together
                wait_s = random.uniform(backoff_s / 2, backoff_s)  # noqa: S311 - no secret
            await self._sleep(wait_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)
        refused = spans if verdict.reason and not verdict.refused else verdict.refused
        self._queued -= spans
        self.dropped += refused
        self.sent += spans - refused
        return not verdict.may_pass

    def _take_batch(self) -> tuple[list[bytes], int]:
        batch: list[bytes] = []
        spans = 0
        while self._queue and spans < self._batch_spans:
            written, count = self._queue.popleft()
            batch.append(written)
            spans += count
        return batch, spans

    async def _post(self, session: ClientSession, body: bytes) -> Verdict:
        try:
            try:
                return await self._post_once(session, body)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                # The collector may close an idle connection just as it is used.
                return await self._post_once(session, body)
        except TimeoutError:
            return Verdict(f"no answer within {self._spec.timeout_s:g} s", may_pass=True)
        except (aiohttp.ClientError, OSError) as error:
            return Verdict(f"{type(error).__name__}: {error}"[:200], may_pass=True)

    async def _post_once(self, session: ClientSession, body: bytes) -> Verdict:
        async with session.request(
            "POST", self._spec.url, data=body, allow_redirects=False
        ) as answer:
            status = answer.status
            if status in _SUCCESS:
                refused = self._count_refused(await _read_answer(answer.content))
                return Verdict(f"{refused} spans refused" if refused else "", refused=refused)
            wait_s = _read_wait(answer.headers) if status in RETRYABLE else None
            return Verdict(f"status {status}", may_pass=status in RETRYABLE, wait_s=wait_s)

    def _note(self, verdict: Verdict) -> None:
        """Say it where it has changed."""
        was_failing, self._is_failing = self._is_failing, bool(verdict.reason)
        if self._is_failing:
            if not was_failing:
                _log.warning("tracing.collector_failing", reason=verdict.reason)
        elif was_failing:
            _log.info("tracing.collector_answers", dropped=self._count_unsaid())
        elif self.dropped > self._said and self._clock() >= self._say_at:
            _log.warning("tracing.spans_dropped", count=self._count_unsaid())

    def _count_unsaid(self) -> int:
        """How many were dropped that no line has counted; one does it now."""
        count = self.dropped - self._said
        self._said = self.dropped
        self._say_at = self._clock() + SAY_EVERY_S
        return count

    async def _sleep(self, wait_s: float) -> None:
        """Wait, but not when it is time to end."""
        try:
            async with asyncio.timeout(wait_s):
                await self._ending.wait()
        except TimeoutError:
            pass

    def _open_session(self) -> ClientSession:
        headers = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": f"chat-gateway/{__version__}",
            **self._spec.headers,
        }
        if self._spec.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
        return ClientSession(
            connector=TCPConnector(limit=1, ssl=self._tls),
            cookie_jar=DummyCookieJar(),
            headers=headers,
            timeout=ClientTimeout(total=self._spec.timeout_s),
        )


def _open_tls(spec: TracingSpec) -> ssl.SSLContext | bool:
    if spec.url.startswith("https:") and spec.ca_file is not None:
        return ssl.create_default_context(cafile=spec.ca_file)
    return True  # with the system's authorities


async def _read_answer(content: aiohttp.StreamReader) -> bytes:
    """All of it, which may come in pieces; of one that is too long the beginning."""
    answer = b""
    while len(answer) < MAX_ANSWER_BYTES:
        piece = await content.read(MAX_ANSWER_BYTES - len(answer))
        if not piece:
            break
        answer += piece
    return answer


def _read_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds, as `Retry-After` asks; a date is none."""
    asked = headers.get("Retry-After", "")
    return min(float(asked), MAX_RETRY_AFTER_S) if asked.isdecimal() and asked.isascii() else None
