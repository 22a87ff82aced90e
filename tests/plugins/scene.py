"""One gateway between raw callers, a provider that fails and a provider that does not.

The rule here: whatever a fault test does, what must hold beside it is asserted here: no secret in
any answer nor anywhere else, no error that cannot be read, the other provider served meanwhile, and
nothing left over.
"""

import asyncio
import contextlib
import gc
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.simulator import Simulator
from gateway.wire.checks import MAX_MODEL_CHARS
from tests.plugins.admins import ADMIN_KEY
from tests.plugins.canaries import refuse_leaks
from tests.plugins.gateway import CODES, Gateway
from tests.plugins.raw_caller import Caller, Heard

TIMEOUT_S = 10
GATEWAY_KEY = "gw-canary-key-of-a-caller-8c2f71"
PROMPT = "canary-prompt-e07a55"
MESSAGES = [{"role": "user", "content": f"Hi, {PROMPT}"}]
AUTH = [
    {
        "kind": "gateway_key",
        "keys": {"alice": f"sha256:{hashlib.sha256(GATEWAY_KEY.encode()).hexdigest()}"},
    }
]
AUTHORIZATION = f"Authorization: Bearer {GATEWAY_KEY}"

V1 = "/v1/chat/completions"
CHAT = "/api/chat/sim"
PATHS = (V1, CHAT)
DONE = b"data: [DONE]"
# Asked in one go; nothing but a page's end tells it from the next.
ADMIN_PAGES = (
    ("/healthz",),
    ("/readyz",),
    ("/metrics",),
    ("/keys",),
    ("/keys/nobody", "Connection: close"),
)


def header_of(heard: Heard, name: str) -> str | None:
    """A header of an answer, by its name in lower case."""
    for line in heard.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return None


def error_of(heard: Heard) -> tuple[int, str]:
    """Status and code of an error, which must be JSON with our code and the request's id."""
    body = heard.json
    error = body["error"]
    request_id = body["request_id"] if "request_id" in body else error["request_id"]
    assert request_id == header_of(heard, "x-request-id"), heard.raw
    assert body.get("message") or error["message"], heard.raw
    return heard.status, error["code"]


def last_event_of(heard: Heard) -> dict[str, Any]:
    """The last event of a stream that failed: readable, and not an ending."""
    assert DONE not in heard.body, heard.body[-300:]
    assert heard.body.endswith(b"\n\n"), heard.body[-300:]
    event = heard.body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
    value = json.loads(event.removeprefix(b"data: "))
    assert isinstance(value, dict)
    return value


def at(port: int, scheme: str = "http", host: str = "127.0.0.1") -> dict[str, Any]:
    """The entry of a provider of the test's own, which does not come back."""
    return {"base_url": f"{scheme}://{host}:{port}/v1", "recovers": False}


def raw_request(
    start_line: str, *headers: str, body: bytes = b"", authorized: bool = True
) -> bytes:
    """One request as it is written here, with a Host and a key."""
    key = (AUTHORIZATION,) if authorized else ()
    lines = [start_line, "Host: 127.0.0.1", *key, *headers, "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def body_of(path: str, directive: object = None, **fields: Any) -> dict[str, Any]:
    """The body of a request that carries a directive for the simulator."""
    directive = directive or "plain"
    if path.startswith("/v1/"):
        usual = {"model": "sim/m", "messages": MESSAGES, "stream": True, "simulate": directive}
        return {**usual, **fields}
    model = directive if isinstance(directive, str) else f"sim:{json.dumps(directive)}"
    return {"chatSettings": {"model": model}, "messages": MESSAGES, **fields}


async def eventually(holds: Callable[[], bool], what: str = "") -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not holds():  # noqa: ASYNC110 - what is awaited tells nobody
                await asyncio.sleep(0)
    except TimeoutError:
        raise AssertionError(f"never came to hold: {what}") from None


def open_sockets() -> int:
    """How many sockets this process has open."""
    return sum(link.startswith("socket:") for link in _open_links())


def open_files() -> int:
    """How many files and directories it has open."""
    return sum(link.startswith("/") and not link.startswith(_PASSING) for link in _open_links())


_PASSING = ("/proc/", "/dev/")  # the directory that is being read, and what a library keeps


def _open_links() -> Iterator[str]:
    with os.scandir("/proc/self/fd") as descriptors:
        for descriptor in descriptors:
            with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
                yield os.readlink(descriptor.path)  # noqa: PTH115 - often


@dataclass
class Scene:
    """What a fault test has in hand."""

    gateway: Gateway
    simulator: Simulator  # behind the provider `sim`, unless the test put something else there
    bystander: Simulator  # behind the provider `other`
    sockets_before: int
    tasks_before: set[asyncio.Task[Any]]
    heard: list[Heard] = field(default_factory=list)
    recovers: bool = True  # the provider `sim` answers again once the fault is over
    is_behind: bool = False  # a proxy, which keeps connections after the last request

    @property
    def upstream_requests(self) -> int:
        """How many requests have reached the provider."""
        return self.simulator.journal.count

    async def ask(self, directive: object = None, path: str = V1, **parts: Any) -> Heard:
        """One request on a connection of its own, heard to its end."""
        async with self.call(directive, path, **parts) as caller:
            return self.note(await caller.read_to_end())

    async def fail(self, directive: object = None, path: str = V1, **parts: Any) -> tuple[int, str]:
        """Status and code of an exchange that the provider fails, and its log line says so too."""
        heard = await self.ask(directive, path, **parts)
        status, code = error_of(heard)
        line = await self.settled(len(self.heard))
        assert (line["outcome"], line["status"]) == ("upstream_failed", status)
        assert line["error_code"] == code
        assert header_of(heard, "x-should-retry") == "false"
        return status, code

    async def send(self, raw: bytes, *, port: int | None = None) -> Heard:
        """Bytes on a connection of their own, and all that comes back."""
        async with Caller(port or self.gateway.port) as caller:
            with contextlib.suppress(ConnectionError):  # refused before all of it was sent
                await caller.send(raw)
            return self.note(await caller.read_to_end())

    @contextlib.asynccontextmanager
    async def call(
        self, directive: Any = None, path: str = V1, **parts: Any
    ) -> AsyncIterator[Caller]:
        """A connection on which a request was sent; the test reads, or does not."""
        version = parts.pop("version", "1.1")
        headers = parts.pop("headers", ("Connection: close",))
        caller = Caller(
            parts.pop("port", self.gateway.port), small_buffer=parts.pop("small_buffer", False)
        )
        if path == CHAT and len(json.dumps(directive)) > MAX_MODEL_CHARS - len("sim:"):
            self.simulator.script(directive)  # too long for the name of a model
            directive = "m"
        body = json.dumps(body_of(path, directive, **parts)).encode()
        length = f"Content-Length: {len(body)}"
        async with caller:
            await caller.send(
                raw_request(f"POST {path} HTTP/{version}", length, *headers, body=body)
            )
            yield caller

    def note(self, heard: Heard) -> Heard:
        """Hold an answer against what must be true of every answer."""
        refuse_leaks(self.gateway.secrets, [("an answer", heard.raw)])
        is_single = (
            heard.raw.count(b"HTTP/1.") == 1
        )  # pipelined ones are for the test to tell apart
        if heard.status >= 400 and is_single:
            assert "\r\ncache-control: no-store" in heard.head
            _, code = error_of(heard)
            # In OpenAI's dialect the code may be the provider's own.
            assert code in CODES or "request_id" in heard.json, heard.raw
        self.heard.append(heard)
        return heard

    async def serve_bystander(self) -> None:
        """Somebody who uses another provider is served, whatever goes on beside them."""
        heard = await self.ask("plain", model="other/m")
        assert (heard.status, heard.is_whole, DONE in heard.body) == (200, True, True), heard.raw

    async def settled(self, count: int = 1) -> dict[str, Any]:
        """The terminal line of the exchange of that number; bystanders are not counted."""
        lines: list[dict[str, Any]] = []
        seen = 0
        while len(lines) < count:
            seen += 1
            line = (await self.gateway.log.wait_for_settled(seen))[seen - 1]
            if line["provider"] != "other":
                lines.append(line)
        return lines[count - 1]

    async def end(self) -> None:
        """Assert that the fault is over and has left nothing behind, the gateway still running."""
        await self.serve_bystander()
        if self.recovers:
            for path in PATHS:
                heard = await self.ask("plain", path)
                assert (heard.status, heard.is_whole) == (200, True), heard.raw
        await self.wait_until_quiet()
        await self.look_for_secrets()
        gc.collect()  # what was never awaited or retrieved says so now

    async def look_for_secrets(self) -> None:
        """Assert that no secret is in any answer, public or admin's.

        The rest is looked at when the gateway has stopped and written all that it writes.
        """
        said = [(f"answer {number}", heard.raw) for number, heard in enumerate(self.heard, 1)]
        pages = [
            raw_request(
                f"GET {path} HTTP/1.1",
                f"Authorization: Bearer {ADMIN_KEY}",
                *headers,
                authorized=False,
            )
            for path, *headers in ADMIN_PAGES
        ]
        async with Caller(int(self.gateway.admin_url.rpartition(":")[2])) as caller:
            await caller.send(b"".join(pages))
            said.append(("the admin listener", (await caller.read_to_end()).raw))
        refuse_leaks([*self.gateway.secrets, ADMIN_KEY], said)

    async def wait_until_quiet(self) -> None:
        """Wait until nothing is in flight and nothing more is open than idle connections."""
        journals = (self.simulator.journal, self.bystander.journal)
        await eventually(lambda: self.gateway.is_quiet, "nothing in flight")
        if self.is_behind:
            await eventually(self._has_hung_up, "the proxy's connections are closed")
        await eventually(lambda: not any(j.open for j in journals), "providers have answered")
        expected = {*self.tasks_before, asyncio.current_task()}
        await eventually(lambda: asyncio.all_tasks() <= expected, "no task is left")
        await eventually(self._has_no_open_callers, "every connection is closed but idle ones")

    def _has_hung_up(self) -> bool:
        self.gateway.close_idle_connections()
        return self.gateway.open_connections == 0

    def _has_no_open_callers(self) -> bool:
        # Both ends of an idle upstream connection are in this process.
        idle = self.simulator.open_connections + self.bystander.open_connections
        return open_sockets() <= self.sockets_before + 2 * idle
