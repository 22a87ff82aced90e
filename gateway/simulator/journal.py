"""What was asked of the simulator and what it really sent: the truth that tests compare with.

The rule here: a record is made when its request is complete, and only the simulator writes in it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.simulator.asking import Request
    from gateway.simulator.plan import Plan


@dataclass(slots=True, eq=False)
class Served:
    """One request, and how far its answer got; times are of the event loop's clock."""

    request: Request
    plan: Plan
    received_s: float
    connection_number: int
    request_number: int
    writes_sent: int = 0
    body_bytes_sent: int = 0
    content_tokens_sent: int = 0
    finished: bool = False
    cut: bool = False
    done_s: float | None = None
    peer_left_s: float | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    peer_left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def method(self) -> str:
        """Method of the request."""
        return self.request.method

    @property
    def path(self) -> str:
        """Target of the request, with its query."""
        return self.request.path

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Headers of the request, in order, as spelled."""
        return self.request.headers

    @property
    def body(self) -> bytes:
        """Body of the request."""
        return self.request.body

    @property
    def status(self) -> int:
        """Status of the answer."""
        return self.plan.status

    @property
    def body_sent(self) -> bytes:
        """The body bytes written so far, without their framing."""
        return b"".join(write.body for write in self.plan.writes[: self.writes_sent])

    def header(self, name: str) -> str | None:
        """The first request header of that name, which is given in lower case."""
        return self.request.header(name)


class Journal:
    """The last records, oldest first, and a way to wait for one."""

    def __init__(self, limit: int) -> None:
        self._records: deque[Served] = deque(maxlen=limit)
        self._waiting: list[tuple[Callable[[Served], bool], asyncio.Future[Served]]] = []
        self.count = 0
        self.open = 0

    def __iter__(self) -> Iterator[Served]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, place: int) -> Served:
        return self._records[place]

    @property
    def last(self) -> Served:
        """The newest record."""
        return self._records[-1]

    def clear(self) -> None:
        """Forget all records; answers under way go on."""
        self._records.clear()

    def begin(self, served: Served) -> None:
        """A request is complete and its answer begins."""
        self._records.append(served)
        self.count += 1
        self.open += 1
        self.changed(served)

    def end(self, served: Served) -> None:
        """An answer is over, whichever way."""
        self.open -= 1
        served.done.set()
        self.changed(served)

    def changed(self, served: Served) -> None:
        """A record has changed: whoever waits for that goes on."""
        for predicate, future in self._waiting:
            if not future.done() and predicate(served):
                future.set_result(served)

    async def wait_for(self, predicate: Callable[[Served], bool], timeout_s: float = 5.0) -> Served:
        """The first record the predicate holds for, now or soon; else TimeoutError.

        It is asked again when a request arrives, at each write, and when an answer is over.
        """
        for served in self._records:
            if predicate(served):
                return served
        future: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
        waiting = (predicate, future)
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        finally:
            self._waiting.remove(waiting)

    async def wait_for_count(self, count: int, timeout_s: float = 5.0) -> None:
        """Return once so many requests have arrived in all; else TimeoutError."""
        if self.count < count:
            await self.wait_for(lambda _: self.count >= count, timeout_s)
