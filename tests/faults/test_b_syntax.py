"""HTTP syntax and request smuggling, sent to the gateway itself and through nginx.

The rule here: behind every odd request hides another one to `/smuggled`; whoever reads the odd one
in another way than its sender meant would serve it.
"""

import contextlib
import json
import re

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.odd_requests import (
    BODY,
    CHUNK,
    CHUNKED,
    LENGTH,
    ODD,
    PLAIN,
    POST,
    SMUGGLED,
    Odd,
)
from tests.plugins.proxies.running import Proxy
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.raw_provider import RawProvider, answer_with
from tests.plugins.scene import (
    AUTHORIZATION,
    PATHS,
    V1,
    Scene,
    at,
    body_of,
    error_of,
    header_of,
    raw_request,
)


def row_of(case: Odd) -> str:
    """What a case is called."""
    return case.row


def answers_in(heard: Heard) -> int:
    """How many answers came back."""
    return len(re.findall(rb"HTTP/1\.[01] [1-5]\d\d ", heard.raw))


@pytest.mark.parametrize("case", ODD, ids=row_of)
async def test_a_request_that_can_be_read_in_two_ways_is_refused(scene: Scene, case: Odd) -> None:
    """B01-B06, B12, B17: refused, closed, and nothing behind it is served."""
    heard = await scene.send(case.raw)

    assert error_of(heard) == (case.status, case.code)
    assert answers_in(heard) == 1
    assert scene.upstream_requests == 0
    assert [line["path"] for line in scene.gateway.log.settled] in ([], [V1])


@pytest.mark.parametrize("case", PLAIN, ids=row_of)
async def test_an_odd_request_with_one_meaning_is_answered(scene: Scene, case: Odd) -> None:
    """B07, B16, B17: what it asks for is refused in the gateway's own words."""
    heard = await scene.send(case.raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))

    assert error_of(heard) == (case.status, case.code)
    assert scene.upstream_requests == 0


async def test_through_nginx_nothing_hidden_is_served(
    scene_behind_nginx: Scene, nginx: Proxy
) -> None:
    """B19: nginx and the gateway agree on how many requests there are and on what they ask for."""
    scene = scene_behind_nginx
    answered = {}

    for case in (*ODD, *PLAIN):
        async with Caller(nginx.port) as caller:
            await caller.send(case.raw if SMUGGLED in case.raw else case.raw + SMUGGLED)
            heard = await caller.read_to_end()
        answered[case.row] = re.findall(rb"(?m)^HTTP/1\.\d (\d\d\d)", heard.raw)

    assert {row for row, found in answered.items() if min(found, default=b"4") < b"4"} == set()
    assert {line["path"] for line in scene.gateway.log.settled} == {V1}
    assert scene.upstream_requests == 0


def get(path: str, *headers: str) -> bytes:
    """A plain GET."""
    return raw_request(f"GET {path} HTTP/1.1", *headers)


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
@pytest.mark.parametrize("path", PATHS)
async def test_an_http_1_0_caller_gets_the_same_bytes_unframed(
    scene: Scene, path: str, connection: str
) -> None:
    """B08: it knows no chunks; the end of the connection is the end of the answer."""
    headers = (f"Connection: {connection}",)

    old = await scene.ask("plain", path, version="1.0", headers=headers)
    new = await scene.ask("plain", path)

    assert not old.is_chunked
    assert without_ids(old.framed) == without_ids(new.body)
    assert not old.was_reset


def without_ids(body: bytes) -> bytes:
    """A stream without the number that the simulator gives each answer."""
    return re.sub(rb"chatcmpl-sim\d+", b"", body)


async def test_an_http_1_0_caller_gets_a_whole_reply_with_its_length(scene: Scene) -> None:
    """B08: what is not streamed can be told from what was cut."""
    heard = await scene.ask("plain", version="1.0", stream=False, headers=())

    assert (heard.status, header_of(heard, "content-length")) == (200, str(len(heard.framed)))


async def test_an_upgrade_is_not_taken(scene: Scene) -> None:
    """B09: a proxy that believes in the upgrade would pass on what follows unread."""
    upgrade = ("Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMA")

    heard = await scene.send(get("/api/keys", *upgrade))

    assert heard.status in {200, 400}
    assert answers_in(heard) == 1


H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA")


@pytest.mark.parametrize("path", [None, *PATHS])
async def test_what_stands_behind_an_offer_is_not_read_from_its_middle(
    scene: Scene, path: str | None
) -> None:
    """B09: the body of the second request would be served as a request of its own."""
    content = json.dumps(body_of(path, "plain")).encode() if path else b""
    first = get("/api/keys", *H2C)
    if path is not None:
        length = f"Content-Length: {len(content)}"
        first = raw_request(f"POST {path} HTTP/1.1", *H2C, length, body=content)
    second = raw_request(POST, f"Content-Length: {len(SMUGGLED)}")

    async with Caller(scene.gateway.port) as caller:
        await caller.send(first + second)
        await caller.read_until(b'"' if path is None else b"\r\n0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await caller.send(SMUGGLED)
        heard = await caller.read_to_end()

    assert answers_in(heard) == 0
    assert [line["path"] for line in scene.gateway.log.settled] == [path or "/api/keys"]


async def test_who_offers_another_protocol_and_waits_keeps_the_connection(scene: Scene) -> None:
    """B09: Java's client offers it with each request, and sends the body by itself."""
    length = f"Content-Length: {len(BODY)}"

    async with Caller(scene.gateway.port) as caller:
        for _ in range(2):
            await caller.send(raw_request(POST, *H2C, length))
            await caller.send(BODY)
            assert (await caller.read_answer()).status == 200


async def test_too_many_headers_are_refused_whatever_their_number(scene: Scene) -> None:
    """B10: the sixty-four thousandth header must cost no more than the hundred and thirtieth."""
    for count in (200, 64_000):
        heard = await scene.send(get("/api/keys", *(f"X-{i}: {i}" for i in range(count))))

        if heard.raw or count == 200:  # far beyond, the connection may just end
            assert error_of(heard) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("path", "header"), [("/api/keys", "X-Long: " + "x" * 9000), ("/" + "x" * 9000, "X-A: a")]
)
async def test_a_line_that_is_too_long_is_refused_and_not_quoted(
    scene: Scene, path: str, header: str
) -> None:
    """B11: the parser's own message quotes what it did not like."""
    heard = await scene.send(get(path, header))

    assert error_of(heard) == (400, "malformed_request")
    assert b"xxxx" not in heard.raw
    assert scene.gateway.log.getvalue().count("x") < 200


@pytest.mark.parametrize("end", ["x" * 9000, "\0", "\r X-A: b"], ids=["long", "nul", "return"])
async def test_a_key_in_a_broken_line_is_not_logged(scene: Scene, end: str) -> None:
    """B11: what could not be read is quoted in the log, and may hold what must not be there."""
    heard = await scene.send(f"{POST}\r\nHost: a\r\n{AUTHORIZATION}{end}\r\n\r\n".encode())

    assert error_of(heard) == (400, "malformed_request")


async def test_chunk_extensions_are_read_over(scene: Scene) -> None:
    """B12: they mean nothing to anybody, and they are not part of the body."""
    chunk = CHUNK.replace(b"\r\n", b";x=" + b"y" * 20_000 + b"\r\n", 1)

    heard = await scene.send(
        raw_request(POST, CHUNKED, "Connection: close", body=chunk + b"0\r\n\r\n")
    )

    assert heard.status in {200, 400}
    assert scene.upstream_requests == (1 if heard.status == 200 else 0)


async def test_trailers_never_become_headers(scene: Scene) -> None:
    """B13: what comes after the body was checked by nobody."""
    trailers = b"X-Request-ID: theirs\r\nAuthorization: Bearer other\r\nTraceparent: x\r\n\r\n"

    heard = await scene.send(
        raw_request(POST, CHUNKED, "Connection: close", body=CHUNK + b"0\r\n" + trailers)
    )

    assert heard.status == 200
    assert header_of(heard, "x-request-id") != "theirs"
    assert scene.simulator.journal.last.header("traceparent") is None


@pytest.mark.parametrize("waits", [True, False], ids=["next", "pipelined"])
async def test_trailers_never_become_headers_of_the_request_behind(
    scene: Scene, *, waits: bool
) -> None:
    """B13: on a proxy's connection that is another caller's, with the key that he was made to send.

    aiohttp's parser (3.14.5) puts the last trailer before the next request's headers.
    """
    body = CHUNK + b"0\r\nAuthorization: Bearer other\r\n\r\n"
    first, second = raw_request(POST, CHUNKED, body=body), get("/v1/models", "Connection: close")

    async with Caller(scene.gateway.port) as caller:
        await caller.send(first if waits else first + second)
        heard = await caller.read_to_end()

    assert (heard.status, answers_in(heard)) == (200, 1)
    assert header_of(heard, "connection") == "close"


async def test_many_trailers_are_refused(scene: Scene) -> None:
    """B13: they are held in memory like headers, and come when nobody counts any more."""
    trailers = b"".join(b"X-%d: y\r\n" % i for i in range(20_000))

    heard = await scene.send(
        raw_request(POST, CHUNKED, "Connection: close", body=CHUNK + b"0\r\n" + trailers + b"\r\n")
    )

    assert heard.status == 400
    assert scene.upstream_requests == 0


async def test_pipelined_requests_are_answered_in_their_order(scene: Scene) -> None:
    """B14: each answer is told by its place alone."""
    stream = raw_request(POST, f"Content-Length: {len(STREAMED)}", body=STREAMED)
    pipelined = stream + get("/api/nothing") + get("/api/keys", "Connection: close")

    heard = await scene.send(pipelined)

    statuses = re.findall(rb"HTTP/1.1 (\d\d\d) ", heard.raw)
    assert statuses == [b"200", b"404", b"200"]
    assert heard.raw.count(b"data: [DONE]\n\n\r\n0\r\n\r\nHTTP/1.1 404") == 1


STREAMED = json.dumps(body_of(V1, "plain")).encode()


async def test_requests_behind_one_whose_caller_left_are_not_begun(scene: Scene) -> None:
    """B14: a caller who pipelines and leaves has asked for nothing more."""
    stall = json.dumps(body_of(V1, "stall")).encode()
    stalled = raw_request(POST, f"Content-Length: {len(stall)}", body=stall)
    async with Caller(scene.gateway.port) as caller:
        await caller.send(stalled * 3)
        await scene.simulator.journal.wait_for(lambda _: True)
        caller.hang_up()
        await scene.settled()

    await scene.wait_until_quiet()
    assert scene.upstream_requests == 1


async def test_a_body_that_was_announced_and_never_sent_is_a_408(open_scene: OpenScene) -> None:
    """B15: the caller is invited once, and not waited for without end."""
    scene = await open_scene(settings={"server": {"request_body_timeout_s": 0.1}})
    async with Caller(scene.gateway.port) as caller:
        await caller.send(raw_request(POST, LENGTH, "Expect: 100-continue"))
        invitation = await caller.read_until(b"\r\n\r\n")
        heard = scene.note(await caller.read_answer())

    assert invitation == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert error_of(heard) == (408, "request_timeout")


async def test_a_framing_that_breaks_while_the_body_is_read_is_a_400(scene: Scene) -> None:
    """B12: aiohttp tells nobody, and the caller would hear nothing for half a minute."""
    async with Caller(scene.gateway.port) as caller:
        await caller.send(raw_request(POST, CHUNKED, "Expect: 100-continue"))
        await caller.read_until(b"100 Continue\r\n\r\n")
        await caller.send(CHUNK + b"zz\r\n")
        heard = scene.note(await caller.read_answer())

    assert error_of(heard) == (400, "malformed_request")
    assert scene.upstream_requests == 0


async def test_a_stranger_is_not_invited_to_send_a_body(scene: Scene) -> None:
    """B15: who is refused anyway should not send 32 MiB first."""
    async with Caller(scene.gateway.port) as caller:
        await caller.send(raw_request(POST, LENGTH, "Expect: 100-continue", authorized=False))
        heard = scene.note(await caller.read_answer())

    assert error_of(heard) == (401, "unauthenticated")


async def test_another_expectation_is_refused(scene: Scene) -> None:
    """B15: what is expected and not understood must not be passed over."""
    heard = await scene.send(raw_request(POST, LENGTH, "Expect: 200-ok", body=BODY))

    assert error_of(heard) == (417, "malformed_request")
    assert scene.upstream_requests == 0


async def test_a_body_where_none_belongs_is_read_over(scene: Scene) -> None:
    """B18: it is not the next request."""
    body = SMUGGLED
    with_body = raw_request("GET /api/keys HTTP/1.1", f"Content-Length: {len(body)}", body=body)

    heard = await scene.send(with_body + get("/v1/models", "Connection: close"))

    assert answers_in(heard) == 2
    assert [line["path"] for line in scene.gateway.log.settled] == ["/api/keys", "/v1/models"]


async def test_a_head_request_is_answered_without_a_body(scene: Scene) -> None:
    """B18: a byte of one would be read as the beginning of the next answer."""
    paths = ("/api/keys", "/api/providers", "/v1/models", "/api/chat/sim")

    heard = await scene.send(
        b"".join(raw_request(f"HEAD {path} HTTP/1.1") for path in paths)
        + get("/x", "Connection: close")
    )

    statuses = re.findall(rb"HTTP/1.1 (\d\d\d) ", heard.raw)
    assert statuses == [b"200", b"200", b"200", b"405", b"404"]
    assert heard.raw.count(b'"error"') == heard.raw.count(b"{") - 1 == 1
    lines = await scene.gateway.log.wait_for_settled(5)
    assert [line["bytes_out"] for line in lines[:4]] == [0] * 4


@pytest.mark.parametrize(
    "line",
    [
        b"X-RateLimit-A: a\rb",
        b"X-RateLimit-A: a\0b",
        b"X-RateLimit-A: a\r\n b",
        b"X-RateLimit A: a",
    ],
)
async def test_a_header_that_would_split_the_answer_is_not_passed_on(
    open_scene: OpenScene, line: bytes
) -> None:
    """B20: a provider must not be able to write heads of ours."""
    reply = b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 2\r\n\r\n{}"
    async with RawProvider(answer_with(reply)) as provider:
        scene = await open_scene(**at(provider.port))

        heard = await scene.ask(stream=False)

    assert error_of(heard) == (502, "upstream_protocol_error")
