"""Streams that break, stall, lie or never end, in both dialects.

The rule here: what came is relayed to the byte, and a stream that failed never ends cleanly: on
`/v1` its last event says why, on `/api/chat` the connection is cut.
"""

import asyncio
from typing import Any

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.proxies.running import Proxy
from tests.plugins.raw_caller import Heard
from tests.plugins.scene import CHAT, DONE, PATHS, V1, Scene, error_of, header_of, last_event_of

SHORT_S = 0.15
TEXT = " word0 word1 word2"
THREE = {"count": 5, "template": " word{i}"}


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
    scene_behind_nginx: Scene, nginx: Proxy, path: str, by: str
) -> None:
    """G01: nginx passes on that the last chunk is missing."""
    scene = scene_behind_nginx
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


async def test_many_streams_fail_at_once_and_each_has_its_own_end(scene: Scene) -> None:
    """G01: a provider that restarts breaks all its answers in the same moment."""
    calls = [scene.ask({**THREE, "cut": {"after_tokens": 3, "by": "rst"}}) for _ in range(50)]

    heard = await asyncio.gather(*calls)

    assert len({last_event_of(one)["request_id"] for one in heard}) == 50
