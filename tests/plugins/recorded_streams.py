"""Recorded answers as tests use them: played by the simulator, cut as asked.

The rule here: what callers must get is worked out from the recorded bytes, by other means than the
gateway's own code.
"""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.plugins.gateway import Gateway
from tests.plugins.raw_caller import Caller, Heard, request_bytes
from tests.plugins.recordings import ABSENT, Recording, read_recordings

MESSAGES = [{"role": "user", "content": "Hi"}]
# Of what JavaScript's trimStart takes away, what an answer may begin with here.
BLANKS = " \t\r\n"
NATIVE_HOSTS = frozenset({"api.anthropic.com"})  # they speak a dialect of their own
MEAN_PIECE_BYTES = 60
# Above this a stream takes seconds byte by byte, so it is sent in pieces of a few: every place of
# an event at which a read can end is met all the same, as its events are many and differ in length.
LARGE_BYTES = 40_000
FEW = 3

LF, CRLF = "\n", "\r\n"
RANDOM = ("random 1", "random 2", "random 3")


class Stream:
    """A recorded stream, and what callers must get of it."""

    def __init__(self, recording: Recording) -> None:
        self.name = recording.name
        events = recording.body.decode().split("\n\n")
        assert events.pop() == "", "the recording ends in the middle of an event"
        faults = [number for number, event in enumerate(events) if fault_of(event)]
        self.fault = fault_of(events[faults[0]]) if faults else None
        self._events = events
        self._relayed = events[: faults[0] + 1] if faults else events

    @property
    def text(self) -> str:
        """What the caller of /api/chat gets."""
        return "".join(map(text_of, self._relayed)).lstrip(BLANKS)

    def sent(self, line_end: str = LF) -> str:
        """What the provider sends."""
        return _join(self._events, line_end)

    def relayed(self, line_end: str = LF, *, wants_usage: bool) -> bytes:
        """What the caller of /v1 gets: all of it, or up to the error and with it."""
        events = [event for event in self._relayed if wants_usage or not is_usage(event)]
        return _join(events, line_end).encode()


def _join(events: Sequence[str], line_end: str) -> str:
    return "".join(f"{event}\n\n" for event in events).replace(LF, line_end)


def payload_of(event: str) -> dict[str, Any]:
    """The chunk of an event; empty for a comment and for the terminator."""
    found = [line[6:] for line in event.split("\n") if line.startswith("data: {")]
    return json.loads(found[0]) if found else {}


def fault_of(event: str) -> dict[str, Any] | None:
    """The error that an event reports."""
    return payload_of(event).get("error")


def is_usage(event: str) -> bool:
    """Whether an event is there for the usage alone."""
    chunk = payload_of(event)
    return chunk.get("choices") == [] and bool(chunk.get("usage"))


def text_of(event: str) -> str:
    """What an event adds to the text of the answer."""
    texts = []
    for choice in payload_of(event).get("choices", ()):
        content = choice["delta"].get("content") or ""
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        texts += [part["text"] for part in parts if part["type"] == "text"]
    return "".join(texts)


FOUND = read_recordings()
STREAMS = [Stream(r) for r in FOUND if r.is_stream and r.host not in NATIVE_HOSTS]
WHOLE = [stream for stream in STREAMS if stream.fault is None]
BROKEN = [stream for stream in STREAMS if stream.fault is not None]
NATIVE = [r for r in FOUND if r.is_stream and r.host in NATIVE_HOSTS]
REPLIES = [r for r in FOUND if not r.is_stream and r.status == 200]
FAILURES = [r for r in FOUND if not r.is_stream and r.status != 200]


def each(name: str, found: Sequence[Stream | Recording]) -> pytest.MarkDecorator:
    """One test for each, or one that is skipped with the reason."""
    absent = pytest.param(None, marks=pytest.mark.skip(ABSENT), id="absent")
    cases = [pytest.param(one, id=one.name.rpartition(".")[0]) for one in found]
    return pytest.mark.parametrize(name, cases or [absent])


def ways(*, lf: Sequence[str] = (), crlf: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Ways of cutting, with the line ends of the recording or with CRLF.

    They are a loop in a test, so that one gateway is asked for all of them.
    """
    return [*((cut, LF) for cut in lf), *((cut, CRLF) for cut in crlf)]


def play(simulator: Simulator, body: str, cut: str = "one piece", **fields: Any) -> None:
    """Let the simulator answer the next request with these bytes, cut as asked."""
    size = len(body.encode())
    writes: dict[str, Any] = {}
    if cut == "bytes":
        writes = {"wire_bytes": 1 if size < LARGE_BYTES else FEW}
    elif cut != "one piece":
        draw = random.Random(cut)  # noqa: S311 - the same cuts in every run
        writes = {"at": sorted(draw.sample(range(1, size), size // MEAN_PIECE_BYTES))}
    simulator.script({"body": body, "writes": writes, **fields})


async def ask(gateway: Gateway, body: dict[str, Any], path: str = "/v1/chat/completions") -> Heard:
    """One request on a connection of its own, heard to its end."""
    async with Caller(gateway.port) as caller:
        await caller.send(request_bytes(path, body, headers=("Connection: close",)))
        return await caller.read_to_end()


async def complete(gateway: Gateway, *, stream: bool = True, wants_usage: bool = False) -> Heard:
    """Ask in the OpenAI dialect."""
    body: dict[str, Any] = {"model": "sim/m", "messages": MESSAGES, "stream": stream}
    if wants_usage:
        body["stream_options"] = {"include_usage": True}
    return await ask(gateway, body)


async def chat(gateway: Gateway) -> Heard:
    """Ask as the chat front end does."""
    body = {"chatSettings": {"model": "m"}, "messages": MESSAGES}
    return await ask(gateway, body, "/api/chat/sim")
