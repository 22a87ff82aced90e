"""The callers: so many at a time, each asking again when its answer is over.

The rule here: each exchange is judged when it ends, and remembered by name for the books.
"""

import asyncio
import itertools
import json
import socket
import time
from collections import Counter
from dataclasses import dataclass, field

from bench.programs import HOST
from bench.soak.inside import PATH
from bench.soak.options import Options
from bench.soak.sorts import CHAT, Act, Sort, build_body, choose_sort

PATIENCE_S = 60.0  # more than any answer takes, even on a machine that is busy
DAWDLE_BYTES = 32 * 1024
SMALL_BUFFER_BYTES = 8 * 1024
HUNG_UP_AFTER_BYTES = 300
LAST_CHUNK = b"\r\n0\r\n\r\n"
DONE = b"data: [DONE]"
KEPT_COMPLAINTS = 20


@dataclass(slots=True)
class Seen:
    """What the callers have seen."""

    exchanges: dict[str, tuple[Sort, str]] = field(default_factory=dict)  # and its request id
    complaints: list[str] = field(default_factory=list)
    count: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0


class Callers:
    """All callers of one gateway."""

    def __init__(self, port: int, key: str, options: Options) -> None:
        self.seen = Seen()
        self._port = port
        self._key = key
        self._options = options
        self._numbers = itertools.count()
        self._stop_at = 0.0

    async def run(self) -> None:
        """Ask until the time is over, and read what is under way to its end."""
        self._stop_at = time.monotonic() + self._options.seconds
        async with asyncio.TaskGroup() as group:
            for number in range(self._options.streams):
                group.create_task(self._keep_asking(number / self._options.streams))

    async def look_inside(self, pids: set[int]) -> dict[int, dict[str, int]]:
        """What each of these processes says of itself; which one answers is the kernel's choice."""
        found: dict[int, dict[str, int]] = {}
        async with asyncio.timeout(PATIENCE_S):
            while not pids <= found.keys():
                reader, writer = await asyncio.open_connection(HOST, self._port)
                writer.write(self._head("GET", PATH, 0))
                answer = await reader.read()
                writer.close()
                inside = json.loads(answer.partition(b"\r\n\r\n")[2])
                found[inside["pid"]] = inside
        return found

    async def _keep_asking(self, place: float) -> None:
        # Spread over the length of an answer, as callers are.
        await asyncio.sleep(place * self._options.chunks * self._options.gap_s)
        while time.monotonic() < self._stop_at:
            sort, name = choose_sort(), f"exchange {next(self._numbers)}"
            began_s = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    request_id, complaint = await self._ask(sort, name)
            except (OSError, asyncio.IncompleteReadError) as error:
                request_id, complaint = "", f"{type(error).__name__}: {error}"
            self.seen.slowest_s = max(self.seen.slowest_s, time.monotonic() - began_s)
            self.seen.count[sort.name] += 1
            self.seen.exchanges[name] = (sort, request_id)
            if complaint and len(self.seen.complaints) < KEPT_COMPLAINTS:
                self.seen.complaints.append(f"{name} ({sort.name}): {complaint}")

    async def _ask(self, sort: Sort, name: str) -> tuple[str, str]:
        """One exchange; its request id, and what was wrong."""
        body = build_body(sort, name, self._options)
        reader, writer = await self._connect(sort)
        try:
            writer.write(self._head("POST", sort.path, len(body)) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            status, request_id = _read_head(head)
            if sort.act is Act.HANG_UP and status == sort.status:
                await reader.readexactly(HUNG_UP_AFTER_BYTES)
                return request_id, ""
            rest = await (_dawdle(reader) if sort.act is Act.DAWDLE else _read_to_end(reader))
        finally:
            writer.close()
        return request_id, _judge(sort, status, head, rest)

    async def _connect(self, sort: Sort) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        connection = socket.socket()
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        if sort.act is Act.DAWDLE:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (HOST, self._port))
        except BaseException:
            connection.close()
            raise
        return await asyncio.open_connection(sock=connection, limit=DAWDLE_BYTES)

    def _head(self, method: str, path: str, length: int) -> bytes:
        lines = (
            f"{method} {path} HTTP/1.1",
            f"Host: {HOST}",
            f"Authorization: Bearer {self._key}",
            f"Content-Length: {length}",
            "Connection: close",
        )
        return "\r\n".join((*lines, "", "")).encode()


def _read_head(head: bytes) -> tuple[int, str]:
    lines = head.decode("latin-1").lower().split("\r\n")
    ids = [line.partition(": ")[2] for line in lines if line.startswith("x-request-id:")]
    return int(lines[0].split(" ")[1]), ids[0] if ids else ""


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while piece := await reader.read(DAWDLE_BYTES):
        pieces.append(piece)
    return b"".join(pieces)


async def _dawdle(reader: asyncio.StreamReader) -> bytes:
    """Read so slowly that all buffers on the way are full."""
    pieces = []
    while piece := await reader.read(DAWDLE_BYTES):
        pieces.append(piece)
        await asyncio.sleep(0.1)  # being slow is what is tested
    return b"".join(pieces)


def _judge(sort: Sort, status: int, head: bytes, rest: bytes) -> str:
    """What is wrong with an answer; nothing when it is what its sort promises."""
    if status != sort.status:
        return f"status {status}: {rest[:200]!r}"
    if not sort.stream:
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return "" if len(rest) == length else f"{len(rest)} bytes of {length}"
    is_whole = rest.endswith(LAST_CHUNK) and (sort.path == CHAT or DONE in rest)
    if sort.is_whole:
        return "" if is_whole else f"cut after {len(rest)} bytes: {rest[-100:]!r}"
    return "ended as if it were whole" if DONE in rest else ""
