"""More than can be borne: an open loop whose refusals are counted and timed like answers.

The rule here: who is refused asks no more on that schedule; its connection is used again, as that
of a proxy is.
"""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import cast

from typing_extensions import override

from bench.accounting import read_cpu_ns
from bench.answers import HEAD_END, Answer, Head
from bench.jobs import Ask, Outcome, Surge, Watch

REFUSED = "503"
TICK_S = 0.001


class Visitor(asyncio.Protocol):
    """One connection: asks, and reads an answer or a refusal to its end."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._due_s = 0.0
        self._answer: Answer | None = None
        self._refusal: bytearray | None = None
        self.lost = False

    def ask(self, due_s: float) -> None:
        """Send the request that was due at this time."""
        self._due_s = due_s
        self._answer = Answer(self._crowd.ask.chunks, has_done=self._crowd.ask.has_done)
        self._refusal = None
        self._transport.write(self._crowd.ask.request)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            return
        if self._refusal is not None or data.startswith(b"HTTP/1.1 503"):
            self._read_refusal(data)
            return
        self._answer.feed(data)
        if self._answer.is_over:
            self._crowd.note_answer(self._answer.fault)
            self._end(is_usable=not self._answer.fault)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._answer is not None:
            self._crowd.failures["connection lost"] += 1

    def hang_up(self) -> None:
        """Leave, whatever is under way."""
        self._answer = None
        self._transport.abort()

    def _read_refusal(self, data: bytes) -> None:
        if self._refusal is None:
            self._refusal = bytearray()
            self._crowd.note_refusal(time.perf_counter() - self._due_s)
        self._refusal += data
        raw_head, mark, body = bytes(self._refusal).partition(HEAD_END)
        if not mark:
            return
        head = Head(raw_head)
        if len(body) >= head.length:
            self._end(is_usable=head.fields.get(b"connection") != b"close")

    def _end(self, *, is_usable: bool) -> None:
        self._answer = None
        if is_usable:
            self._crowd.idle.append(self)
        else:
            self._transport.close()


class Crowd:
    """All who come, and what became of them inside the window."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.idle: deque[Visitor] = deque()
        self.visitors: set[Visitor] = set()
        self.failures: Counter[str] = Counter()
        self.answers = 0
        self.refused_s: list[float] = []
        self.is_counting = False

    def note_answer(self, fault: str) -> None:
        """An answer is over."""
        if fault:
            self.failures[fault] += 1
        self.answers += self.is_counting and not fault

    def note_refusal(self, took_s: float) -> None:
        """Somebody was turned away."""
        if self.is_counting:
            self.refused_s.append(took_s)

    async def come(self, due_s: float) -> None:
        """One more, on a connection that waits, or a new one."""
        while self.idle:
            visitor = self.idle.pop()
            if not visitor.lost:
                visitor.ask(due_s)
                return
        loop = asyncio.get_running_loop()
        try:
            _, visitor = await loop.create_connection(
                lambda: Visitor(self), "127.0.0.1", self.ask.port
            )
        except OSError as error:
            self.failures[f"no connection: {type(error).__name__}"] += 1
            return
        self.visitors.add(visitor)
        visitor.ask(due_s)


@dataclass(frozen=True, slots=True)
class Used:
    """CPU time of everybody, at one moment."""

    system_ns: int = 0
    upstream_ns: int = 0
    load_ns: int = 0


def read_used(watch: Watch) -> Used:
    """Read it all."""
    return Used(read_cpu_ns(watch.system), read_cpu_ns(watch.upstream), time.process_time_ns())


async def run_surge(job: Surge) -> Outcome:
    """Send on schedule, and count between the warming up and the end."""
    crowd, loop = Crowd(job.ask), asyncio.get_running_loop()
    coming: set[asyncio.Task[None]] = set()
    first_s = time.perf_counter()
    begin_s, end_s = first_s + job.warm_s, first_s + job.warm_s + job.window_s
    begin = Used()
    due_s = first_s
    while (now := time.perf_counter()) < end_s:
        if not crowd.is_counting and now >= begin_s:
            crowd.is_counting, begin_s, begin = True, now, read_used(job.watch)
        while due_s <= now:
            task = loop.create_task(crowd.come(due_s))
            coming.add(task)
            task.add_done_callback(coming.discard)
            due_s += 1 / (job.fill_per_s if due_s < first_s + job.fill_s else job.per_s)
        await asyncio.sleep(TICK_S)
    end = read_used(job.watch)
    crowd.is_counting = False
    window_s = time.perf_counter() - begin_s
    await asyncio.gather(*coming)
    for visitor in crowd.visitors:
        visitor.hang_up()
    return Outcome(
        window_s=window_s,
        exchanges=crowd.answers,
        failures=dict(crowd.failures),
        system_cpu_ns=end.system_ns - begin.system_ns,
        upstream_cpu_ns=end.upstream_ns - begin.upstream_ns,
        load_cpu_ns=end.load_ns - begin.load_ns,
        refused_s=tuple(crowd.refused_s),
    )
