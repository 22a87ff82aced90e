"""A mistake in any middleware, once an answer has begun, cuts it and never ends it cleanly.

The rule here: the mistake is an operator's middleware named in gateway.yaml, right after each of
the gateway's own but the outermost, so that it comes out of each of them in turn.
"""

from typing import Any

import pytest
from aiohttp.typedefs import Middleware

from gateway.app import CHAIN
from gateway.plugins.loading import name_of
from tests.faults.conftest import OpenScene
from tests.plugins.proxies.running import Proxy
from tests.plugins.saboteurs import (
    CHUNKED_MISTAKES,
    MISTAKES,
    SABOTAGE,
    ask_twice,
    ask_twice_at_once,
    fail,
    fail_afterwards,
    hang,
    hang_afterwards,
    leave_python,
    read_body,
    refuse,
    refuse_like_aiohttp,
    return_nothing,
    swallow_cancellation,
)
from tests.plugins.scene import DONE, PATHS, Scene, error_of

POSITIONS = [name_of(one) for one in CHAIN[1:]]
HEADERS = ("Connection: close", f"{SABOTAGE}: 1")
TIMEOUT_S = 0.2  # of the middleware
STREAM: dict[str, Any] = {"count": 3, "stall": {"after_tokens": 2, "for_s": 0.05}}


async def open_sabotaged(
    open_scene: OpenScene, mistake: Middleware, position: str, *, behind: Proxy | None = None
) -> Scene:
    """A scene whose chain holds the mistake right after the middleware of that name."""
    use = f"tests.plugins.saboteurs:{name_of(mistake)}"
    spec = {"use": use, "after": position, "timeout_s": TIMEOUT_S}
    scene = await open_scene(settings={"middleware": [spec]}, behind=behind)
    # A mistake of an operator's is an error with its traceback in the log; nothing else is.
    scene.gateway.allowed_words = ("Traceback", "request.crashed")
    return scene


def find(scene: Scene, event: str) -> list[dict[str, Any]]:
    """The lines of one event."""
    return [line for line in scene.gateway.log.lines if line["event"] == event]


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("mistake", [*MISTAKES, *CHUNKED_MISTAKES], ids=name_of)
async def test_a_mistake_after_the_first_byte_cuts_the_stream(
    open_scene: OpenScene, mistake: Middleware, position: str
) -> None:
    """Aiohttp would write the second answer into the first, and end it as if all was well."""
    scene = await open_sabotaged(open_scene, mistake, position)

    heard = await scene.ask(STREAM, headers=HEADERS)

    assert heard.status == 200
    assert not heard.is_whole
    assert heard.raw.count(b"HTTP/1.1") == 1
    assert b"again" not in heard.raw
    assert DONE not in heard.body or name_of(mistake) in AFTER_THE_TERMINATOR
    line = await scene.settled()
    assert line["status"] == 200
    assert line["outcome"] in outcomes_of(mistake, position)
    assert len(find(scene, "stream.cut")) == 1


def outcomes_of(mistake: Middleware, position: str) -> set[str]:
    """What the log line may say of a mistake at this place."""
    outcomes = {"policy_stopped"}
    if position in OUTSIDE_THE_LOG and name_of(mistake) in AFTER_THE_TERMINATOR:
        outcomes.add("finished")  # the line was written before the mistake; `stream.cut` follows it
    return outcomes


OUTSIDE_THE_LOG = {"assign_request_id"}

# The provider's terminator is out by then; that no last chunk follows says that something failed.
AFTER_THE_TERMINATOR = {
    "fail_afterwards",
    "refuse_like_aiohttp",
    "answer_again",
    "return_nothing",
    "ask_twice",
    "answer_beside_a_copy",
    "ask_with_two_copies",
    "change_body",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("position", ["assign_request_id", "enforce_limits"])
@pytest.mark.parametrize("mistake", MISTAKES, ids=name_of)
async def test_an_http_1_0_caller_sees_a_reset(
    open_scene: OpenScene, mistake: Middleware, position: str, path: str
) -> None:
    """Without chunks a connection that is merely closed is the end of the answer."""
    scene = await open_sabotaged(open_scene, mistake, position)
    headers = (f"{SABOTAGE}: 1",)

    heard = await scene.ask(STREAM, path, version="1.0", headers=headers)

    assert heard.was_reset
    assert b"again" not in heard.raw


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mistake", MISTAKES, ids=name_of)
async def test_behind_nginx_it_is_cut_as_well(
    open_scene: OpenScene, nginx: Proxy, mistake: Middleware, path: str
) -> None:
    """What the caller gets through a proxy is as broken as what the gateway sent."""
    scene = await open_sabotaged(open_scene, mistake, "authenticate", behind=nginx)

    heard = await scene.ask(STREAM, path, headers=HEADERS, port=nginx.port)

    assert (heard.status, heard.is_whole) == (200, False)
    assert b"again" not in heard.raw


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_swallowed_cancellation_is_settled_as_what_it_was(
    open_scene: OpenScene, path: str, position: str
) -> None:
    """The caller has left; that somebody answers all the same must not make it a success."""
    scene = await open_sabotaged(open_scene, swallow_cancellation, position)
    stall = {"count": 3, "stall": {"after_tokens": 2}}

    async with scene.call(stall, path) as caller:
        await caller.read_until(b"word1")
        caller.hang_up()
        line = await scene.settled()

    assert line["outcome"] == "client_gone"
    await scene.simulator.journal.last.peer_left.wait()


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_cancellation_swallowed_before_the_head_is_settled_too(
    open_scene: OpenScene, path: str, position: str
) -> None:
    """Nothing was sent; the answer that nobody reads is not what happened."""
    scene = await open_sabotaged(open_scene, swallow_cancellation, position)

    async with scene.call("stall-before-head", path) as caller:
        await scene.simulator.journal.wait_for(lambda _: True)
        caller.hang_up()
        line = await scene.settled()

    assert line["outcome"] == "client_gone"


BEFORE_THE_HEAD = {
    ask_twice: (500, "plugin_error"),
    ask_twice_at_once: (500, "plugin_error"),
    fail: (500, "plugin_error"),
    fail_afterwards: (500, "plugin_error"),
    hang: (500, "plugin_error"),
    hang_afterwards: (500, "plugin_error"),
    leave_python: (500, "plugin_error"),
    refuse: (400, "invalid_request"),
    refuse_like_aiohttp: (403, "invalid_request"),
    return_nothing: (500, "plugin_error"),
}


@pytest.mark.parametrize("mistake", BEFORE_THE_HEAD, ids=name_of)
async def test_where_nothing_was_sent_it_is_an_error_with_a_status(
    open_scene: OpenScene, mistake: Middleware
) -> None:
    """K08: a reply that is not streamed has not begun then; the answer says whose mistake it is."""
    scene = await open_sabotaged(open_scene, mistake, "authenticate")

    heard = await scene.ask("plain", stream=False, headers=HEADERS)

    assert error_of(heard) == BEFORE_THE_HEAD[mistake]
    assert (await scene.settled())["outcome"] == "rejected"
    is_named = name_of(mistake) in str(heard.json)
    assert is_named == (BEFORE_THE_HEAD[mistake][1] == "plugin_error")
    named = [line["middleware"] for line in find(scene, "middleware.failed")]
    assert named == ([name_of(mistake)] if is_named else [])


@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_a_middleware_has_read_is_not_the_callers_mistake(
    open_scene: OpenScene, path: str, size: int
) -> None:
    """An empty body is a 400, and the caller has sent one that is not."""
    scene = await open_sabotaged(open_scene, read_body, "authenticate")

    heard = await scene.ask("plain", path, headers=HEADERS, padding="x" * size)

    assert error_of(heard) == (500, "plugin_error")
    assert "failed: read_body." in str(heard.json)
    assert scene.simulator.journal.count == 0


async def test_a_long_answer_is_no_hanging_middleware(open_scene: OpenScene) -> None:
    """K08: what those further in take does not count, so a limit ends no stream."""
    scene = await open_sabotaged(open_scene, hang, "authenticate")
    long = {"count": 3, "stall": {"after_tokens": 2, "for_s": 2 * TIMEOUT_S}}

    heard = await scene.ask(long)

    assert (heard.status, heard.is_whole) == (200, True)
