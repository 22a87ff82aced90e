"""The caller's end of one connection, and the counters that all of them share.

The rule here: no task wakes for a piece of an answer: the generator must cost less than what it
measures. Times are of `time.perf_counter`: uvloop's own clock moves in steps of a millisecond.
"""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from typing_extensions import override

from bench.answers import Answer
from bench.certificates import SERVER_NAME
from bench.jobs import Ask


@dataclass(slots=True)
class Totals:
    """What all connections have counted so far."""

    exchanges: int = 0
    chunks: int = 0
    body_bytes: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    first_content_s: list[float] = field(default_factory=list)
    timed_from_s: float = 0  # requests that were due earlier are not timed


class Call(asyncio.Protocol):
    """One connection: asks, reads the answer to its end, and says so."""

    def __init__(self, ask: Ask, totals: Totals, when_over: Callable[["Call"], None]) -> None:
        self._ask = ask
        self._totals = totals
        self._when_over = when_over
        self._answer: Answer | None = None
        self._due_s = 0.0
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.flowing: asyncio.Future[None] = loop.create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, due_s: float) -> None:
        """Send the request that was due at this time."""
        self._due_s = due_s
        self._answer = Answer(self._ask.chunks, has_done=self._ask.has_done)
        self._transport.write(self._ask.request)

    @override
    def data_received(self, data: bytes) -> None:
        answer, totals = self._answer, self._totals
        if answer is None:
            self.fail("bytes that nobody asked for")
            return
        is_first = not answer.chunks
        new = answer.feed(data)
        totals.body_bytes += len(data)
        if new:
            totals.chunks += new
            if is_first:
                self._note_first_content()
        if answer.is_over:
            self._end(answer.fault)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._totals.failures[f"connection lost after {self._answer.chunks} chunks"] += 1
            self._answer = None
        if not self.lost.done():
            self.lost.set_result(None)

    def hang_up(self, patience_s: float) -> None:
        """Leave; an answer that is not over by now has failed only if it took too long."""
        if self._answer is not None and time.perf_counter() - self._due_s > patience_s:
            self._totals.failures[f"stalled after {self._answer.chunks} chunks"] += 1
        self._answer = None
        self._transport.abort()

    def _note_first_content(self) -> None:
        if self._due_s >= self._totals.timed_from_s:
            self._totals.first_content_s.append(time.perf_counter() - self._due_s)
        if not self.flowing.done():
            self.flowing.set_result(None)

    def _end(self, fault: str) -> None:
        self._answer = None
        if fault:
            self.fail(fault)
            return
        self._totals.exchanges += 1
        self._when_over(self)

    def fail(self, reason: str) -> None:
        """Count a failure and leave."""
        self._totals.failures[reason] += 1
        self._answer = None
        self._transport.abort()


class Caller:
    """Opens calls to one address and hangs all of them up in the end."""

    def __init__(self, ask: Ask, connect_s: float) -> None:
        self.totals = Totals()
        self.calls: set[Call] = set()
        self._ask = ask
        self._connect_s = connect_s
        self._tls = ssl.create_default_context(cafile=ask.ca_file) if ask.ca_file else None

    async def open_call(self, when_over: Callable[[Call], None]) -> Call | None:
        """A new connection, or None after counting that there is none."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                _, call = await loop.create_connection(
                    lambda: Call(self._ask, self.totals, when_over),
                    "127.0.0.1",
                    self._ask.port,
                    ssl=self._tls,
                    server_hostname=SERVER_NAME if self._tls else None,
                )
        except OSError as error:  # TimeoutError is one
            self.totals.failures[f"no connection: {type(error).__name__}"] += 1
            return None
        self.calls.add(call)
        call.lost.add_done_callback(lambda _: self.calls.discard(call))
        return call

    async def hang_up(self, patience_s: float) -> None:
        """Close every connection and wait until all are gone."""
        calls = tuple(self.calls)
        for call in calls:
            call.hang_up(patience_s)
        await asyncio.gather(*(call.lost for call in calls))
