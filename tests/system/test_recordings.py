"""What providers really sent, relayed by the live gateway and compared with the recording.

The rule here: what is expected is worked out from the recorded bytes by other means than the
gateway's own code.
"""

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from gateway.simulator import Simulator
from tests.plugins.gateway import Gateway, StartGateway
from tests.plugins.raw_caller import Caller, Heard, request_bytes
from tests.plugins.recordings import ABSENT, Recording, read_recordings

MESSAGES = [{"role": "user", "content": "Hi"}]
# What JavaScript's trimStart takes away and these recordings can hold.
BLANKS = " \t\r\n"
OTHER_DIALECTS = frozenset({"api.anthropic.com"})
MEAN_PIECE_BYTES = 60
CUTS = ("one piece", "bytes", "random 1", "random 2", "random 3")

RECORDINGS = read_recordings()
STREAMS = [r for r in RECORDINGS if r.is_stream and r.host not in OTHER_DIALECTS]
NATIVE_STREAMS = [r for r in RECORDINGS if r.is_stream and r.host in OTHER_DIALECTS]
REPLIES = [r for r in RECORDINGS if not r.is_stream and r.status == 200]
FAILURES = [r for r in RECORDINGS if not r.is_stream and r.status != 200]


def each(found: list[Recording]) -> pytest.MarkDecorator:
    """One test for each recording, or one that is skipped with the reason."""
    absent = pytest.param(None, marks=pytest.mark.skip(ABSENT), id="absent")
    cases = [pytest.param(r, id=r.name.rpartition(".")[0]) for r in found]
    return pytest.mark.parametrize("recording", cases or [absent])


class Expected:
    """What a caller must get of a recorded stream."""

    def __init__(self, recording: Recording, line_end: str = "\n") -> None:
        events = recording.body.decode().split("\n\n")
        assert events.pop() == "", "the recording ends in the middle of an event"
        self._line_end = line_end
        self.body = self._join(events)
        self.fault = next(filter(None, map(fault_of, events)), None)
        ends = [number for number, event in enumerate(events, 1) if fault_of(event)]
        self._events = events[: ends[0]] if ends else events

    def relayed(self, *, wants_usage: bool) -> bytes:
        """What the caller of /v1 gets: all of it, or up to the error and with it."""
        return self._join([e for e in self._events if wants_usage or not is_usage(e)])

    @property
    def text(self) -> str:
        """What the caller of /api/chat gets."""
        return "".join(map(text_of, self._events)).lstrip(BLANKS)

    def _join(self, events: list[str]) -> bytes:
        return "".join(f"{e}\n\n" for e in events).replace("\n", self._line_end).encode()


def payload_of(event: str) -> dict[str, Any]:
    """The chunk of an event; empty for a comment and for the terminator."""
    data = [line[6:] for line in event.split("\n") if line.startswith("data: {")]
    return json.loads(data[0]) if data else {}


def fault_of(event: str) -> dict[str, Any] | None:
    """The error that an event reports."""
    return payload_of(event).get("error")


def is_usage(event: str) -> bool:
    """Whether an event is there for the usage alone."""
    chunk = payload_of(event)
    return chunk.get("choices") == [] and bool(chunk.get("usage"))


def text_of(event: str) -> str:
    """What an event adds to the answer."""
    texts = []
    for choice in payload_of(event).get("choices", ()):
        content = choice["delta"].get("content") or ""
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        texts += [part["text"] for part in parts if part["type"] == "text"]
    return "".join(texts)


def writes_of(cut: str, body: bytes) -> dict[str, Any]:
    """How the simulator is to write a body."""
    if cut == "one piece":
        return {}
    if cut == "bytes":
        return {"wire_bytes": 1}
    draw = random.Random(cut)  # noqa: S311 - cuts that are the same in every run
    places = draw.sample(range(1, len(body)), len(body) // MEAN_PIECE_BYTES)
    return {"at": sorted(places)}


@pytest.fixture
async def gateway(start_gateway: StartGateway, simulator: Simulator) -> Gateway:
    """A gateway that asks once: what is looked at is the answer to that."""
    provider = {
        "base_url": simulator.base_url,
        "allow_private": True,
        "auth": {"required": False},
        "retries": 0,
    }
    return await start_gateway(
        providers={"sim": provider}, settings={"auth": [{"kind": "anonymous"}]}
    )


async def ask(gateway: Gateway, path: str, **fields: Any) -> Heard:
    """One request on a connection of its own, heard to its end."""
    if path == "/v1/chat/completions":
        body = {"model": "sim/m", "messages": MESSAGES, **fields}
    else:
        body = {"chatSettings": {"model": "m"}, "messages": MESSAGES}
    async with Caller(gateway.port) as caller:
        await caller.send(request_bytes(path, body, headers=("Connection: close",)))
        return await caller.read_to_end()


def play(simulator: Simulator, expected: Expected, cut: str) -> None:
    """Let the simulator answer the next request with a recording, cut as asked."""
    simulator.script({"body": expected.body.decode(), "writes": writes_of(cut, expected.body)})


@each(STREAMS)
@pytest.mark.parametrize("wants_usage", [False, True], ids=["plain", "usage"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("cut", CUTS)
async def test_a_caller_gets_the_very_bytes_that_the_provider_sent(
    gateway: Gateway, simulator: Simulator, recording: Recording, cut: str, line_end: str, wants_usage: bool
) -> None:
    """An event that is changed, joined wrongly or lost is an answer that nobody gave."""
    expected = Expected(recording, line_end)
    play(simulator, expected, cut)

    heard = await ask(
        gateway, "/v1/chat/completions", stream=True, stream_options={"include_usage": wants_usage}
    )

    print(heard.status, heard.is_whole, expected.fault)
    assert heard.body == expected.relayed(wants_usage=wants_usage)
    assert heard.is_whole == (expected.fault is None)


@each(STREAMS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("cut", CUTS)
async def test_a_chat_gets_the_text(
    gateway: Gateway, simulator: Simulator, recording: Recording, cut: str, line_end: str
) -> None:
    """An event that is changed, joined wrongly or lost is an answer that nobody gave."""
    expected = Expected(recording, line_end)
    play(simulator, expected, cut)

    heard = await ask(gateway, "/api/chat/sim")

    print(heard.status, heard.is_whole, expected.fault)
    assert heard.body.decode() == expected.text
    assert heard.is_whole == (expected.fault is None)
