"""Streams that are odd but whole, and events that nobody can make sense of, in both dialects.

The rule here: what came is relayed to the byte, and nothing that a provider sends makes the gateway
fall over.
"""

import json
from typing import Any

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.raw_provider import RawProvider, answer_with
from tests.plugins.scene import CHAT, DONE, PATHS, V1, Scene, at

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def chunk(content: str = "Hi", **fields: Any) -> bytes:
    """One event with text."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice], **fields}).encode() + b"\n\n"


FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
LAST = DONE + b"\n\n"


def stream_of(*events: bytes) -> bytes:
    """A whole streamed answer that says how long it is."""
    body = b"".join(events)
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


WITH_USAGE: dict[str, dict[str, Any]] = {V1: {"stream_options": {"include_usage": True}}, CHAT: {}}


WHOLE: dict[str, Any] = {
    "G04 bytes": {"preset": "utf8", "writes": {"wire_bytes": 1}},
    "G04 in characters": "utf8",
    "G04 crlf": {"preset": "crlf", "writes": {"wire_bytes": 1}},
    "G04 cr": {"preset": "cr", "writes": {"wire_bytes": 1}},
    "G04 one write": "one-write",
    "G04 odd cuts": {"preset": "utf8", "writes": {"at": [1, 7, 77, 78, 300, 301, 302]}},
    "G04 no space": "no-space",
    "G04 byte order mark": {"sse": {"byte_order_mark": True}},
    "G07 empty events": "empty-events",
    "G07 comments": "comment-flood",
    "G07 retry": {"junk": {"kind": "retry_lines", "count": 10_000, "after_tokens": 2}},
    "G07 blank lines": {"junk": {"kind": "blank_lines", "count": 10_000, "after_tokens": 2}},
    "G08 twice": {"usage": "own_twice"},
    "G08 none": {"usage": "none"},
    "G08 every": {"usage": "every"},
    "G08 null": {"usage_nulls": True},
    "G08 groq": {"usage": "x_groq"},
    "G10 data after done": "data-after-done",
    "G10 two dones": "two-dones",
    "G10 no done": "no-done",
    "G10 until eof": "until-eof",
    "G11 tools": {
        "tool_calls": [{"arguments": json.dumps({"city": "x" * 600}), "pieces": 500}],
        "text": "Hi",
    },
    "G11 choices": {"preset": "two-choices", "count": 50},
}


@pytest.mark.parametrize("directive", WHOLE.values(), ids=WHOLE.keys())
async def test_an_odd_stream_is_relayed_to_the_byte(scene: Scene, directive: Any) -> None:
    """G04, G07, G08, G10, G11: in the provider's own bytes, in their order."""
    heard = await scene.ask(directive, stream_options={"include_usage": True})

    assert (heard.status, heard.is_whole) == (200, True)
    assert heard.body == scene.simulator.journal.last.body_sent
    assert (await scene.settled())["outcome"] == "finished"


@pytest.mark.parametrize("directive", WHOLE.values(), ids=WHOLE.keys())
async def test_the_text_of_an_odd_stream_is_whole(scene: Scene, directive: Any) -> None:
    """G04, G07, G08, G10, G11: and valid UTF-8 wherever it was cut."""
    heard = await scene.ask(directive, CHAT)

    assert (heard.status, heard.is_whole) == (200, True)
    assert all(piece.decode() for piece in heard.chunks)
    assert "\ufffd" not in heard.body.decode()


@pytest.mark.parametrize("path", PATHS)
async def test_bytes_that_are_no_utf8_raise_nothing(scene: Scene, path: str) -> None:
    """G05: on `/v1` they are relayed as they are; text has no place for them."""
    heard = await scene.ask("invalid-utf8", path, **WITH_USAGE[path])

    line = await scene.settled()
    assert (line["outcome"] == "finished") == heard.is_whole
    if path == V1:
        assert heard.body == scene.simulator.journal.last.body_sent
    else:
        assert "\ufffd" not in heard.body.decode()


async def test_a_giant_line_is_relayed_and_not_read(scene: Scene) -> None:
    """G06: an image in one event; what is too large to be read is passed on in pieces."""
    junk = {"kind": "giant_line", "mib": 4, "after_tokens": 2}

    heard = await scene.ask({"junk": junk}, stream_options={"include_usage": True})

    assert heard.is_whole
    assert heard.body == scene.simulator.journal.last.body_sent


async def test_a_failure_in_a_giant_line_is_an_event_of_its_own(open_scene: OpenScene) -> None:
    """G06: written behind the half of an image, it would be that event's other half."""
    answer = stream_of(chunk(), b"data: " + b"x" * 600_000)
    async with RawProvider(answer_with(answer)) as provider:
        scene = await open_scene(**at(provider.port))
        heard = await scene.ask(None, V1)

    assert not heard.is_whole
    *_, last, end = heard.body.split(b"\n\n")
    assert end == b""
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_truncated"


async def test_a_line_without_an_end_is_no_text(scene: Scene) -> None:
    """G06: what cannot be read cannot be turned into text, and is not left out quietly."""
    heard = await scene.ask({"junk": {"kind": "giant_line", "after_tokens": 2}}, CHAT)

    assert not heard.is_whole
    assert (await scene.settled())["outcome"] == "upstream_failed"


@pytest.mark.parametrize(
    ("values", "counted"),
    [
        ({"completion_tokens": -1, "prompt_tokens": 7}, (True, 1, "estimate")),
        ({"completion_tokens": 10**18, "prompt_tokens": -1}, (False, 1, "estimate")),
        ({"completion_tokens": "5", "prompt_tokens": "5"}, (False, 1, "estimate")),
        ({"completion_tokens": True, "prompt_tokens": 1.5}, (False, 1, "estimate")),
        ({"completion_tokens": 9, "prompt_tokens": 7}, (True, 9, "provider")),
    ],
)
async def test_a_count_of_tokens_that_cannot_be_is_not_booked(
    scene: Scene, values: dict[str, Any], counted: tuple[bool, int, str]
) -> None:
    """G08: a bill must not be a provider's typing error; what it cannot be, we estimate."""
    await scene.ask({"count": 1, "template": "Hi", "usage_values": values})

    line = await scene.settled()
    assert (line["tokens_in"] == 7, line["tokens_out"], line["tokens_source"]) == counted
    assert 0 < line["tokens_in"] < 100


async def test_what_comes_after_the_answer_costs_the_connection_only(scene: Scene) -> None:
    """G10: bytes behind an answer would be taken for the next one."""
    first = await scene.ask("after-end")
    second = await scene.ask("plain")

    assert (first.is_whole, second.is_whole) == (True, True)
    assert b"bad" not in second.body
    assert scene.simulator.connections_opened == 2


@pytest.mark.parametrize(
    "events",
    [
        [chunk(), b'data: {"choices":[{"delta":' + b"[" * 5000 + b"\n\n", FINISH, LAST],
        [chunk(), b'data: {"x":' + b"[" * 5000 + b"]" * 5000 + b"}\n\n", FINISH, LAST],
        [chunk(), b"data: null\n\n", FINISH, LAST],
        [chunk(), b"data: 1e999\n\n", FINISH, LAST],
        [chunk(), b'data: {"choices":{}}\n\n', FINISH, LAST],
        [chunk(), b'data: {"choices":[null]}\n\n', FINISH, LAST],
        [chunk(), b'data: {"choices":[{"delta":{"content":{"a":1}}}]}\n\n', FINISH, LAST],
        [chunk(), b'data: {"choices":[{"index":[],"delta":{"content":"x"}}]}\n\n', FINISH, LAST],
        [
            chunk(),
            b'data: {"choices":[{"index":0,"delta":{"content":"\\ud800"}}]}\n\n',
            FINISH,
            LAST,
        ],
        [chunk(), b"data\n\ndata:\n\n:\n\nevent: x\n\nid: \0\n\n", FINISH, LAST],
        [chunk(usage={"completion_tokens": [1]}), FINISH, LAST],
    ],
    ids=range(11),
)
@pytest.mark.parametrize("path", PATHS)
async def test_no_event_of_a_provider_makes_the_gateway_fall_over(
    open_scene: OpenScene, path: str, events: list[bytes]
) -> None:
    """G05, G09: it is relayed or ends the stream as failed; it is never left without an end."""
    async with RawProvider(answer_with(stream_of(*events))) as provider:
        scene = await open_scene(**at(provider.port))

        heard = await scene.ask(path=path)

    outcome = (await scene.settled())["outcome"]
    assert (outcome == "finished") == (heard.status == 200 and heard.is_whole)
    assert heard.status in {200, 502}
    if path == V1:
        assert heard.status == 200
    if heard.is_whole and path == V1:
        assert heard.body == b"".join(events)
