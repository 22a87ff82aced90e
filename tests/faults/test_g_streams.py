"""Streams that break, stall, lie or never end, in both dialects.

The rule here: what came is relayed to the byte, and a stream that failed never ends cleanly: on
`/v1` its last event says why, on `/api/chat` the connection is cut.
"""

import asyncio
import json
from typing import Any

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.nginx import StartNginx
from tests.plugins.raw_caller import Heard
from tests.plugins.raw_provider import RawProvider, answer_with
from tests.plugins.scene import (
    CHAT,
    DONE,
    PATHS,
    V1,
    Scene,
    at,
    error_of,
    header_of,
    last_event_of,
)

SHORT_S = 0.15
TEXT = " word0 word1 word2"
THREE = {"count": 5, "template": " word{i}"}
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


async def assert_broken(scene: Scene, heard: Heard, path: str, code: str) -> None:
    """Hold a stream that failed after its first content against the rule above."""
    assert (heard.status, heard.is_whole) == (200, False)
    line = await scene.settled()
    assert (line["outcome"], line["status"]) == ("upstream_failed", 200)
    assert line["error_code"] in code
    assert line["tokens_out"] in {3, 5}  # as the provider counted, or by what came (18 characters)
    if path == V1:
        event = last_event_of(heard)
        assert event["error"]["message"]
        assert event["request_id"] == header_of(heard, "x-request-id")
    else:
        assert heard.body.decode() == TEXT.lstrip()[: len(heard.body)]


WITH_USAGE: dict[str, dict[str, Any]] = {V1: {"stream_options": {"include_usage": True}}, CHAT: {}}

CUTS: dict[str, tuple[dict[str, Any], str]] = {
    "G01 reset": ({"cut": {"after_tokens": 3, "by": "rst"}}, "upstream_cut"),
    "G01 fin between chunks": ({"cut": {"after_tokens": 3}}, "upstream_cut"),
    "G01 fin in a chunk": ({"cut": {"at": "in_event", "after_tokens": 3}}, "upstream_cut"),
    "G01 reset in a chunk": (
        {"cut": {"at": "in_event", "after_tokens": 3, "by": "rst"}},
        "upstream_cut",
    ),
    "G01 no last chunk": ({"cut": {"at": "before_last_chunk"}, "count": 3}, "upstream_cut"),
    "G02 eof": (
        {"cut": {"after_tokens": 3}, "http": {"framing": "eof"}},
        "upstream_truncated",
    ),
    "G02 eof in an event": (
        {"cut": {"at": "in_event", "after_tokens": 3}, "http": {"framing": "eof"}},
        "upstream_truncated or upstream_bad_response",  # half an event is no event either
    ),
    "G02 neither finish nor done": (
        {"count": 3, "finish": "never", "done": "never"},
        "upstream_truncated",
    ),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("fault", "code"), CUTS.values(), ids=CUTS.keys())
async def test_a_stream_that_breaks_off_ends_as_broken(
    scene: Scene, path: str, fault: dict[str, Any], code: str
) -> None:
    """G01, G02: half an answer that looks whole is worse than none."""
    heard = await scene.ask({**THREE, **fault}, path)

    await assert_broken(scene, heard, path, code)


@pytest.mark.parametrize("path", PATHS)
async def test_an_http_1_0_caller_sees_a_reset(scene: Scene, path: str) -> None:
    """G01: without chunks a mere end of the connection would be the end of the answer."""
    heard = await scene.ask({**THREE, "cut": {"after_tokens": 3}}, path, version="1.0", headers=())

    assert heard.was_reset
    assert b"word2" in heard.framed
    assert DONE not in heard.framed


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("by", ["fin", "rst"])
async def test_behind_nginx_a_broken_stream_is_broken(
    scene: Scene, start_nginx: StartNginx, path: str, by: str
) -> None:
    """G01: nginx passes on that the last chunk is missing."""
    nginx = start_nginx(scene.gateway.port)
    fault = {**THREE, "cut": {"after_tokens": 3, "by": by}}

    heard = await scene.ask(fault, path, port=nginx.port)

    await assert_broken(scene, heard, path, "upstream_cut")


@pytest.mark.parametrize("path", PATHS)
async def test_a_notice_is_written_where_the_registry_says_so(
    open_scene: OpenScene, path: str
) -> None:
    """G01: some front ends show what they have and nothing of a connection that is cut."""
    scene = await open_scene(on_stream_error="notice")

    heard = await scene.ask({**THREE, "cut": {"after_tokens": 3}}, path)

    assert not heard.is_whole
    if path == CHAT:
        text, _, notice = heard.body.decode().partition("\n\n")
        assert text == TEXT.lstrip()
        assert notice.startswith("[Sim ")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cut", ["after_head", "in_head"])
async def test_a_stream_that_breaks_before_its_first_content_is_an_error(
    scene: Scene, path: str, cut: str
) -> None:
    """G01: nothing has been sent, so a status can still say it."""
    heard = await scene.ask({"cut": {"at": cut}}, path)

    assert error_of(heard) == (502, "upstream_cut")


@pytest.mark.parametrize("path", PATHS)
async def test_it_is_tried_again_before_the_first_content_only(
    open_scene: OpenScene, path: str
) -> None:
    """G12: after it the caller would read the same words twice."""
    scene = await open_scene(retries=2)
    again = [{"preset": "plain"}]

    early = await scene.ask({"cut": {"at": "after_head"}, "then": again}, path)
    late = await scene.ask({**THREE, "cut": {"after_tokens": 3}, "then": again}, path)

    assert (early.status, early.is_whole) == (200, True)
    assert not late.is_whole
    lines = await scene.gateway.log.wait_for_settled(2)
    assert [line["attempts"] for line in lines] == [2, 1]
    assert scene.upstream_requests == 3


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("comment", [None, " ping"])
async def test_silence_in_the_middle_has_a_deadline(
    open_scene: OpenScene, path: str, comment: str | None
) -> None:
    """G03: signs of life are no content, and do not put it off."""
    scene = await open_scene(timeouts={"idle_s": SHORT_S})
    stall = {"after_tokens": 3, "comment": comment, "every_s": 0.01}

    async with scene.call({**THREE, "stall": stall}, path) as caller:
        await caller.read_until(b"word2")
        await scene.serve_bystander()
        rest = await caller.read_to_end()

    assert DONE not in rest.raw
    assert not rest.raw.endswith(b"0\r\n\r\n")
    line = await scene.settled()
    assert (line["outcome"], line["error_code"]) == ("upstream_failed", "upstream_idle_timeout")
    await scene.simulator.journal[0].peer_left.wait()


async def test_a_silent_stream_is_kept_alive_for_those_in_between(open_scene: OpenScene) -> None:
    """G03: proxies cut what says nothing for a minute."""
    scene = await open_scene(
        settings={"commit": {"v1_max_wait_s": 0.03, "keep_alive_comment_s": 0.03}}
    )
    stall = {"after_tokens": 3, "for_s": 0.2}

    heard = await scene.ask({**THREE, "stall": stall})

    assert heard.is_whole
    events = heard.body.split(b"\n\n")
    assert b": keep-alive" in events
    assert all(
        event.startswith((b"data: {", b"data: [DONE]", b": keep-alive")) for event in events[:-1]
    )
    sent = scene.simulator.journal.last.body_sent
    assert [event for event in events if not event.startswith(b":")] == relayed_events(sent)


def relayed_events(sent: bytes) -> list[bytes]:
    """The provider's events without the usage that the caller did not ask for."""
    return [event for event in sent.split(b"\n\n") if b'"choices":[]' not in event]


@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_has_a_total_deadline_where_one_is_set(
    open_scene: OpenScene, path: str
) -> None:
    """G13: content that goes on and on is bounded too."""
    scene = await open_scene(timeouts={"total_s": 0.3})

    heard = await scene.ask({"count": 10_000, "gap_s": 0.01}, path)

    assert not heard.is_whole
    line = await scene.settled()
    assert (line["outcome"], line["error_code"]) == ("upstream_failed", "upstream_total_timeout")


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


@pytest.mark.parametrize(
    "shape", ["openai", "groq", "openrouter", "openrouter_documented", "ollama"]
)
@pytest.mark.parametrize("path", PATHS)
async def test_an_error_in_a_stream_ends_it_as_failed(scene: Scene, path: str, shape: str) -> None:
    """G09: whatever shape it has, and whether or not the provider writes `[DONE]` behind it."""
    fault = {"shape": shape, "after_tokens": 3, "message": "The model fell over."}

    heard = await scene.ask({**THREE, "stream_error": fault}, path)

    assert (heard.status, heard.is_whole) == (200, False)
    line = await scene.settled()
    # Ollama says nothing: a chunk without content, and then no finish and no terminator.
    code = "upstream_truncated" if shape == "ollama" else "upstream_error_in_stream"
    assert (line["outcome"], line["error_code"]) == ("upstream_failed", code)
    if path == V1:
        assert DONE not in heard.body
        assert b"The model fell over." in heard.body or shape == "ollama"
    else:
        assert heard.body.decode() == TEXT.lstrip()


@pytest.mark.parametrize("path", PATHS)
async def test_an_error_in_place_of_the_first_content_is_a_status(scene: Scene, path: str) -> None:
    """G09: nothing has been sent; it is an error like any other."""
    fault = {"shape": "openrouter", "after_tokens": 0, "code": 429}

    heard = await scene.ask({**THREE, "stream_error": fault}, path)

    assert heard.status in {429, 502}
    error_of(heard)


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


async def test_many_streams_fail_at_once_and_each_has_its_own_end(scene: Scene) -> None:
    """G01: a provider that restarts breaks all its answers in the same moment."""
    calls = [scene.ask({**THREE, "cut": {"after_tokens": 3, "by": "rst"}}) for _ in range(50)]

    heard = await asyncio.gather(*calls)

    assert len({last_event_of(one)["request_id"] for one in heard}) == 50
