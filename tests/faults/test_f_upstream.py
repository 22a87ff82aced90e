"""Faults of the connection to a provider, and of its HTTP.

The rule here: every failure has its own code within its own deadline, in both dialects, and leaves
other providers alone.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.simulator import Simulator
from tests.faults.conftest import OpenScene
from tests.plugins.gateway import CREDENTIAL
from tests.plugins.raw_provider import RawProvider, answer_with, read_request
from tests.plugins.scene import CHAT, DONE, PATHS, V1, Scene, error_of, header_of

SHORT_S = 0.15
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    % (len(EVENT) + len(DONE) + 2)
    + EVENT
    + DONE
    + b"\n\n"
)


def at(port: int, scheme: str = "http", host: str = "127.0.0.1") -> dict[str, Any]:
    """Where a provider of the test's own listens; it does not come back."""
    return {"base_url": f"{scheme}://{host}:{port}/v1", "recovers": False}


async def fail(scene: Scene, directive: object = None, path: str = V1, **parts) -> tuple[int, str]:
    """Status and code of a failed exchange, which its line in the log says too."""
    heard = await scene.ask(directive, path, **parts)
    status, code = error_of(heard)
    line = await scene.settled(len(scene.heard))
    assert (line["outcome"], line["status"]) == ("upstream_failed", status)
    assert line["error_code"] == code
    assert header_of(heard, "x-should-retry") == "false"
    return status, code


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections and that nobody else can take."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue is full: a connection attempt is neither taken nor refused."""
    with contextlib.ExitStack() as opened, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the standard library's own
            waiting.connect_ex(address)
        yield address[1]


@pytest.mark.parametrize("path", PATHS)
async def test_a_refused_connection_is_a_502(
    open_scene: OpenScene, closed_port: int, path: str
) -> None:
    """F01: nobody listens, and the caller is told at once."""
    scene = await open_scene(**at(closed_port))

    assert await fail(scene, path=path) == (502, "upstream_connect")


async def test_a_refused_connection_is_tried_again(open_scene: OpenScene, closed_port: int) -> None:
    """F01: a provider that restarts is back in a moment."""
    scene = await open_scene(**at(closed_port), retries=1)

    assert await fail(scene) == (502, "upstream_connect")
    assert (await scene.settled())["attempts"] == 2


@pytest.mark.parametrize("path", PATHS)
async def test_a_connection_that_is_never_taken_is_a_504(
    open_scene: OpenScene, full_port: int, path: str
) -> None:
    """F02: the kernel would try for two minutes."""
    scene = await open_scene(**at(full_port), timeouts={"connect_s": SHORT_S})

    async with scene.call(path=path) as caller:
        await scene.serve_bystander()
        heard = scene.note(await caller.read_to_end())

    assert error_of(heard) == (504, "upstream_connect_timeout")


async def test_a_caller_who_leaves_while_it_connects_leaves_nothing(
    open_scene: OpenScene, full_port: int
) -> None:
    """F02: half-open connections are sockets too."""
    scene = await open_scene(**at(full_port))

    async with scene.call():
        await scene.serve_bystander()

    line = await scene.settled()
    assert (line["outcome"], line["status"]) == ("client_gone", 499)


@pytest.mark.parametrize("host", ["nobody.invalid", "x" * 63 + ".invalid"])
async def test_a_name_without_an_address_is_a_502(open_scene: OpenScene, host: str) -> None:
    """F03: also while the name servers say nothing at all."""
    scene = await open_scene(**at(80, host=host), timeouts={"connect_s": 1})

    assert await fail(scene) == (502, "upstream_dns")


@contextlib.asynccontextmanager
async def tls_provider(authority: trustme.CA, name: str, **issue) -> AsyncIterator[Simulator]:
    """A provider behind TLS, with a certificate for this name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, **issue).configure_cert(context)
    async with Simulator(ssl_context=context) as provider:
        yield provider


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Somebody whom the gateway is told to trust."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """The `tls` of a provider's entry that trusts `authority`."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return {"ca_file": str(file)}


async def test_a_good_certificate_is_accepted(
    open_scene: OpenScene, authority: trustme.CA, tls: dict[str, str]
) -> None:
    """F04: the refusals below are about what is wrong with each."""
    async with tls_provider(authority, "127.0.0.1") as provider:
        scene = await open_scene(**at(provider.port, "https"), tls=tls)

        heard = await scene.ask("plain")

        assert DONE in heard.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("name", "issue"),
    [("192.0.2.1", {}), ("127.0.0.1", {"not_after": datetime(2021, 1, 1, tzinfo=UTC)})],
    ids=["another host", "expired"],
)
async def test_a_certificate_that_is_not_acceptable_is_a_502(
    open_scene: OpenScene, authority: trustme.CA, tls: dict[str, str], name: str, issue: dict,
    path: str,
) -> None:
    """F04: the credential is not shown to whoever answers in the provider's place."""
    if issue:
        issue = {**issue, "not_before": datetime(2020, 1, 1, tzinfo=UTC)}
    async with tls_provider(authority, name, **issue) as provider:
        scene = await open_scene(**at(provider.port, "https"), tls=tls)

        assert await fail(scene, path=path) == (502, "upstream_tls")
        assert provider.journal.count == 0


async def test_an_authority_that_nobody_named_is_not_trusted(
    open_scene: OpenScene, tls: dict[str, str]
) -> None:
    """F04: anybody can sign a certificate."""
    async with tls_provider(trustme.CA(), "127.0.0.1") as provider:
        scene = await open_scene(**at(provider.port, "https"), tls=tls)

        assert await fail(scene) == (502, "upstream_tls")


async def test_a_handshake_that_stalls_has_a_deadline(open_scene: OpenScene) -> None:
    """F04: a connection that was taken and then forgotten."""

    async def stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.Event().wait()

    async with RawProvider(stall) as provider:
        scene = await open_scene(**at(provider.port, "https"), timeouts={"tls_s": SHORT_S})

        assert await fail(scene) == (502, "upstream_tls")


async def test_a_provider_that_speaks_no_tls_is_a_502(
    open_scene: OpenScene, simulator: Simulator
) -> None:
    """F04: `https` in the registry is never quietly `http`."""
    scene = await open_scene(**at(simulator.port, "https"))

    assert await fail(scene) == (502, "upstream_tls")
    assert simulator.journal.count == 0


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

    refusal = await fail(scene, {"stall": {"at": "before_head"}}, stream=False)

    assert refusal == (504, "upstream_first_content_timeout")


@pytest.mark.parametrize("comment", [None, " OPENROUTER PROCESSING"])
async def test_signs_of_life_are_no_content(open_scene: OpenScene, comment: str | None) -> None:
    """F06: a byte now and then would put off a deadline between reads for ever."""
    scene = await open_scene(timeouts={"first_content_s": SHORT_S})
    drip = {"stall": {"at": "after_head", "comment": comment, "every_s": 0.01}}
    directive = drip if comment else {"writes": {"wire_bytes": 1, "drip_s": 0.01}}

    assert await fail(scene, directive) == (504, "upstream_first_content_timeout")


async def test_a_provider_that_does_not_take_the_request_is_a_504(open_scene: OpenScene) -> None:
    """F05: a large prompt is sent to somebody who does not read."""

    async def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one that can
        await asyncio.Event().wait()

    async with RawProvider(ignore) as provider:
        scene = await open_scene(**at(provider.port), timeouts={"request_body_s": SHORT_S})

        refusal = await fail(scene, user="x" * 16_000_000)

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
    assert await fail(scene, directive, path) == (502, "upstream_protocol_error")


async def test_a_large_header_is_nobodys_fault(scene: Scene) -> None:
    """F08: content policies are nine kilobytes and more."""
    heard = await scene.ask({"http": {"giant_header_bytes": 9_000}})

    assert heard.status == 200


@pytest.mark.parametrize("by", ["fin", "rst"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_fresh_connection_that_closes_unanswered_is_a_502(
    scene: Scene, path: str, by: str
) -> None:
    """F09: asked once; whether the request was served there, nobody knows."""
    refusal = await fail(scene, {"cut": {"at": "before_head", "by": by}}, path)

    assert refusal == (502, "upstream_connect")
    assert scene.upstream_requests == 1


@pytest.mark.parametrize("path", PATHS)
async def test_a_reused_connection_that_closes_unanswered_is_replaced(
    open_scene: OpenScene, path: str
) -> None:
    """F09: providers close idle connections just as they are used; no caller need know."""
    seen: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(seen)
        seen.append(0)
        while True:
            await read_request(reader)
            seen[number] += 1
            if seen[number] > 1:  # the second request on any connection meets its end
                return
            writer.write(STREAM)

    async with RawProvider(serve) as provider:
        scene = await open_scene(**at(provider.port))

        heard = [await scene.ask(path=path) for _ in range(3)]

    assert [one.status for one in heard] == [200, 200, 200]
    assert seen == [2, 2, 1]
    assert {line["attempts"] for line in await scene.gateway.log.wait_for_settled(3)} == {1}


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
    assert await fail(scene, directive, path) == (502, "upstream_bad_response")


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

    refusal = await fail(scene, {"redirect_to": decoy, "redirect_status": status}, path)

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
    assert await fail(scene, "gzip-bomb", path) == (502, "upstream_reply_too_large")


async def test_a_reply_over_the_limit_is_a_502(open_scene: OpenScene) -> None:
    """F18: a reply is held whole, so that a cut one is never half an answer."""
    scene = await open_scene(settings={"server": {"max_reply_bytes": 10_000}})

    over = await fail(scene, {"json_bytes": 10_001}, stream=False)
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


async def test_a_provider_that_is_full_answers_so_and_others_are_served(
    open_scene: OpenScene,
) -> None:
    """F19: nobody waits in a queue for a provider that is stuck, and nobody else pays for it."""
    scene = await open_scene(max_connections=2)
    stall = {"count": 2, "stall": {"after_tokens": 1}}

    async with scene.call(stall) as first, scene.call(stall) as second:
        await first.read_until(b"word0")
        await second.read_until(b"word0")
        heard = await scene.ask("plain")
        await scene.serve_bystander()

    assert error_of(heard) == (503, "provider_busy")
    assert header_of(heard, "retry-after") == "1"
    await scene.settled(3)


async def test_a_name_is_looked_up_again(open_scene: OpenScene, simulator: Simulator) -> None:
    """F20: an idle connection is kept for a while, and what it led to is not kept for ever."""
    scene = await open_scene(timeouts={"keep_alive_s": 0.05})

    await scene.ask("plain")
    await simulator.journal.last.done.wait()
    await wait_until_closed(simulator)
    await scene.ask("plain")

    assert simulator.connections_opened == 2


async def wait_until_closed(simulator: Simulator) -> None:
    """Wait until nobody is connected."""
    async with asyncio.timeout(5):
        while simulator.open_connections:
            await asyncio.sleep(0)
