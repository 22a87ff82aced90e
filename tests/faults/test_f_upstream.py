"""Faults of a provider's HTTP and of its answers: silence, garbage, errors, floods.

The rule here: every failure has its own code within its own deadline, in both dialects, and leaves
other providers alone.
"""

import asyncio
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.faults.conftest import OpenScene
from tests.plugins.gateway import CREDENTIAL
from tests.plugins.raw_provider import RawProvider
from tests.plugins.scene import CHAT, DONE, PATHS, Scene, at, error_of, header_of

SHORT_S = 0.15


@pytest.mark.parametrize("place", ["before_head", "in_head", "after_head"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_provider_that_never_answers_is_a_504(
    open_scene: OpenScene, path: str, place: str
) -> None:
    """F05: the deadline is for the first content; a head alone is none."""
    scene = await open_scene(timeouts={"first_content_s": SHORT_S})

    async with scene.call({"stall": {"at": place}}, path) as caller:
        await scene.serve_bystander()
        heard = scene.note(await caller.read_to_end())

    assert error_of(heard) == (504, "upstream_first_content_timeout")
    await scene.simulator.journal.last.peer_left.wait()


async def test_a_reply_that_never_comes_is_a_504(open_scene: OpenScene) -> None:
    """F05: what is not streamed has a deadline of its own."""
    scene = await open_scene(timeouts={"reply_s": SHORT_S})

    refusal = await scene.fail({"stall": {"at": "before_head"}}, stream=False)

    assert refusal == (504, "upstream_first_content_timeout")


@pytest.mark.parametrize("comment", [None, " OPENROUTER PROCESSING"])
async def test_signs_of_life_are_no_content(open_scene: OpenScene, comment: str | None) -> None:
    """F06: a byte now and then would put off a deadline between reads for ever."""
    scene = await open_scene(timeouts={"first_content_s": SHORT_S})
    drip = {"stall": {"at": "after_head", "comment": comment, "every_s": 0.01}}
    directive = drip if comment else {"writes": {"wire_bytes": 1, "drip_s": 0.01}}

    assert await scene.fail(directive) == (504, "upstream_first_content_timeout")


async def test_a_provider_that_does_not_take_the_request_is_a_504(open_scene: OpenScene) -> None:
    """F05: a large prompt is sent to somebody who does not read."""

    async def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one that can
        await asyncio.Event().wait()

    async with RawProvider(ignore) as provider:
        scene = await open_scene(**at(provider.port), timeouts={"request_body_s": SHORT_S})

        refusal = await scene.fail(user="x" * 16_000_000)

    assert refusal == (504, "upstream_request_timeout")


async def test_interim_responses_are_read_over(scene: Scene) -> None:
    """F07: they are not the answer, and do not come back to the caller."""
    for status in (100, 102, 103):
        heard = await scene.ask({"http": {"interim": 100, "interim_status": status}})

        assert heard.status == 200
        assert heard.raw.count(b"HTTP/1.1") == 1


PROTOCOL_ERRORS: dict[str, Any] = {
    "F07 flood": "interim-flood",
    "F07 switching": "switching",
    "F08 garbage": "garbage",
    "F08 headers": "many-headers",
    "F08 giant header": "giant-header",
    "F08 two lengths": {"answer": "json", "http": {"framing": "two_lengths"}},
    "F08 length and chunked": "length-and-chunked",
    "F08 coding": "unknown-coding",
    "F08 version": {"http": {"status_line": "HTTP/2.0 200 OK"}},
    "F08 status": {"http": {"status_line": "HTTP/1.1 999 Odd"}},
    "F08 no status": {"http": {"status_line": "HTTP/1.1"}},
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("directive", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS.keys())
async def test_what_is_no_http_is_a_502(scene: Scene, path: str, directive: object) -> None:
    """F07, F08: the mistake is the provider's; a 400 would send the caller looking at their own."""
    assert await scene.fail(directive, path) == (502, "upstream_protocol_error")


async def test_a_large_header_is_nobodys_fault(scene: Scene) -> None:
    """F08: content policies are nine kilobytes and more."""
    heard = await scene.ask({"http": {"giant_header_bytes": 9_000}})

    assert heard.status == 200


BAD_ANSWERS: dict[str, Any] = {
    "page": "page",
    "empty": "empty",
    "text": {"error": {"status": 200, "shape": "text"}},
    "json for a stream": "json-though-stream",
    "page as a stream": {
        "body": "<html><p>Hello</p></html>\n\n",
        "answer": "stream",
        "http": {"content_type": "text/html"},
    },
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("directive", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_an_answer_that_is_none_is_a_502(scene: Scene, path: str, directive: object) -> None:
    """F10: a login page of a captive portal is a 200 as well."""
    assert await scene.fail(directive, path) == (502, "upstream_bad_response")


STATUSES = {
    400: "upstream_rejected",
    401: "upstream_credential_rejected",
    402: "upstream_rejected",
    403: "upstream_rejected",
    404: "upstream_rejected",
    408: "upstream_rejected",
    409: "upstream_rejected",
    413: "upstream_rejected",
    422: "upstream_rejected",
    429: "upstream_rate_limited",
    500: "upstream_server_error",
    503: "upstream_server_error",
    529: "upstream_server_error",
}


@pytest.mark.parametrize(("status", "code"), STATUSES.items())
async def test_a_providers_status_is_kept(scene: Scene, status: int, code: str) -> None:
    """F11: it is what a caller can act on; the code says whose credential was refused."""
    heard = await scene.ask({"error": {"status": status, "shape": "string"}}, CHAT)

    assert error_of(heard) == (status, code)
    assert (await scene.settled())["error_code"] == code


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("shape", ["openai", "string", "text", "vllm", "mistral_detail"])
async def test_a_credential_that_a_provider_echoes_is_not_passed_on(
    scene: Scene, path: str, shape: str
) -> None:
    """F11: providers quote the key that they refuse, whole or in part."""
    message = f"Incorrect API key provided: {CREDENTIAL}. Find yours."

    heard = await scene.ask({"error": {"status": 401, "shape": shape, "message": message}}, path)

    assert heard.status == 401
    assert CREDENTIAL[3:20].encode() not in heard.raw
    assert CREDENTIAL[3:20] not in scene.gateway.log.getvalue()


RETRY_AFTER = {
    "-1": None,
    "1e9": None,
    "soon": None,
    "NaN": None,
    "Wed, 21 Oct 2015 07:28:00 GMT": "Wed, 21 Oct 2015 07:28:00 GMT",
    "1000000000": "1000000000",
    "7": "7",
    "0.5": "0.5",
}


@pytest.mark.parametrize(("given", "expected"), RETRY_AFTER.items())
async def test_a_wait_is_passed_on_when_it_is_one(
    scene: Scene, given: str, expected: str | None
) -> None:
    """F13: an SDK that sleeps for what it reads must not be sent to sleep for ever by a word."""
    heard = await scene.ask({"error": {"status": 429, "retry_after": given}})

    assert error_of(heard)[0] == 429
    assert header_of(heard, "retry-after") == expected


@pytest.mark.parametrize("given", ["-1", "1e9", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "0"])
async def test_an_odd_wait_does_not_keep_the_gateway_from_trying_again(
    open_scene: OpenScene, given: str
) -> None:
    """F13: it waits a little of its own, or not at all."""
    scene = await open_scene(retries=1)
    refusal = {"error": {"status": 429, "retry_after": given}, "then": [{"preset": "plain"}]}

    heard = await scene.ask(refusal)

    assert heard.status == 200
    assert (await scene.settled())["attempts"] == 2


async def test_a_long_wait_is_not_slept(open_scene: OpenScene) -> None:
    """F13: the caller can wait as well as we can, and knows whether it is worth it."""
    scene = await open_scene(retries=2)

    heard = await scene.ask({"error": {"status": 429, "retry_after": "3600"}})

    assert (heard.status, header_of(heard, "retry-after")) == (429, "3600")
    assert scene.upstream_requests == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", PATHS)
async def test_a_redirect_is_not_followed(
    open_scene: OpenScene, bystander: Simulator, path: str, status: int
) -> None:
    """F16: it would hand the credential and the whole prompt to whoever it names."""
    scene = await open_scene()
    decoy = f"{bystander.base_url}/chat/completions"

    refusal = await scene.fail({"redirect_to": decoy, "redirect_status": status}, path)

    assert refusal == (502, "upstream_redirect")
    assert bystander.journal.count == 0


@pytest.mark.parametrize("target", ["file:///etc/passwd", "/v1/elsewhere", "//evil.example/"])
async def test_no_kind_of_redirect_is_followed(scene: Scene, target: str) -> None:
    """F16: nor is its address given to the caller."""
    heard = await scene.ask({"redirect_to": target})

    assert error_of(heard) == (502, "upstream_redirect")
    assert header_of(heard, "location") is None
    assert scene.upstream_requests == 1


@pytest.mark.parametrize("path", PATHS)
async def test_a_compressed_answer_is_read(scene: Scene, path: str) -> None:
    """F17: nobody asked for it, and some do it all the same."""
    heard = await scene.ask("gzip", path)
    plain = await scene.ask("plain", path)

    assert header_of(heard, "content-encoding") is None
    assert (heard.status, len(heard.body)) == (200, len(plain.body))
    assert scene.simulator.journal[0].header("accept-encoding") == "identity"


@pytest.mark.parametrize("path", PATHS)
async def test_a_bomb_is_not_unpacked(scene: Scene, path: str) -> None:
    """F17: sixty-four megabytes out of sixty-four kilobytes."""
    assert await scene.fail("gzip-bomb", path) == (502, "upstream_reply_too_large")
    assert b"too large when unpacked" in scene.heard[-1].body


async def test_a_reply_over_the_limit_is_a_502(open_scene: OpenScene) -> None:
    """F18: a reply is held whole, so that a cut one is never half an answer."""
    scene = await open_scene(settings={"server": {"max_reply_bytes": 10_000}})

    over = await scene.fail({"json_bytes": 10_001}, stream=False)
    under = await scene.ask({"json_bytes": 10_000}, stream=False)

    assert over == (502, "upstream_reply_too_large")
    assert (under.status, len(under.body)) == (200, 10_000)


async def test_a_stream_over_the_limit_is_cut(open_scene: OpenScene) -> None:
    """F18: an answer without an end is no answer."""
    scene = await open_scene(settings={"server": {"max_stream_bytes": 20_000}})

    heard = await scene.ask({"count": 1000})

    assert not heard.is_whole
    assert DONE not in heard.body
    line = await scene.settled()
    assert (line["outcome"], line["error_code"]) == ("upstream_failed", "upstream_reply_too_large")
