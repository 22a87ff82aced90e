"""What callers get through each reverse proxy: errors, ids, addresses, whole bodies.

The rule here: whoever reads an error through a proxy finds it where one finds the gateway's own.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import ClientSession, TCPConnector

from gateway.simulator import Simulator
from tests.plugins.odd_requests import ODD, PLAIN
from tests.plugins.proxies.row import (
    BELOW,
    BODIES,
    CHAT,
    V1,
    OpenBehind,
    listening,
    only_linux,
    send,
)
from tests.plugins.proxies.running import KINDS, Proxies, Proxy
from tests.plugins.raw_caller import Caller, Heard, request_bytes
from tests.plugins.scene import AUTHORIZATION, MESSAGES, TIMEOUT_S, error_of, header_of, raw_request

pytestmark = only_linux()

CONNECTIONS = 260  # of one address; the shipped files let in 250
TOO_MANY = 429
TOO_LARGE = 413
LIMIT = 32 * 1024 * 1024
LARGE_CHARS = 300_000
LARGE = {
    "model": "sim/plain",
    "messages": [{"role": "user", "content": "ü" * LARGE_CHARS}],  # 1.8 MB
}
ORIGIN = "https://chat.example.org"
OTHER_METHODS = (
    *(("HEAD", "/v1/models", 200), ("HEAD", "/api/keys", 200), ("HEAD", V1, 405)),
    *(("HEAD", CHAT, 405), ("HEAD", "/v1/nothing", 404)),
    *(("OPTIONS", V1, 405), ("OPTIONS", "/v1/models", 405)),
)
# The first one is well formed. A header is a list to some, of which one part may be.
GIVEN_IDS = ("call-1", 'a","b":"c', 'call-2,b"c', 'b"c, call-2', 'call-2\r\nX-Request-ID: b"c')
PATIENCE_S = 0.3  # with what is never answered
OFFICE = "127.0.0.9"
# Models of the simulator; with none the request is a mistake of the caller's.
FAILING = (
    *("not-found", "unauthorized", "rate-limited", "server-error", "unavailable", ""),
    *("bad-gateway-page", "redirect", "groq-413", "openrouter-524"),
)
UNREACHABLE = {"nginx": 502, "haproxy": 503, "caddy": 502, "apache": 503}
# What they cannot read they answer with a text of their own, which no configuration changes.
WRITES_OWN_400 = {"haproxy", "caddy"}
ELSEWHERE = (
    *("/", "/healthz", "/readyz", "/metrics", "/keys", "/usage", "/admin", "/api", "/v1", "/v10"),
    *("/v1/../metrics", "/V1/models", "//metrics", "/metrics/..%2fv1/models", "/llm", "/llm/keys"),
    *("/llm/api", "/llm/v1", "/llm/v1/../../metrics", "/server-status", "/icons/"),
)
# Of an answer that is made anew each time no part can be asked for.
PARTS = (
    ("Range: bytes=0-10",),
    ("Range: bytes=999999-",),
    ("Range: bytes=0-1,5-6", 'If-Range: "x"'),
    ("Range: bytes=0-10", "If-Range: Thu, 01 Jan 2026 00:00:00 GMT"),
    ("Request-Range: bytes=0-10",),
)
# Whoever decodes, merges or shortens these makes another path of them.
OTHERWISE_WRITTEN = (
    *("//v1/models", "/v1//models", "/api//keys", "//api/keys", "/%76%31/models", "/%61pi/keys"),
    *("/v1/./models", "/v1/x/../models", "/x/../v1/models", "/v1/../api/keys", "/api/../v1/models"),
    *("/v1/%2e/models", "/v1/models/%2e%2e", "/v1/models/sim%2F%2e%2E%2Fx"),
)
ODD_PATHS = ("/api/chat/..%2fchat%2Fgroq", "/v1/models/..%2f..%2fadmin", "/api/chat/%00")


def get(path: str, *headers: str) -> bytes:
    """A question with a key, on a connection of its own."""
    return raw_request(f"GET {path} HTTP/1.1", "Connection: close", *headers)


def post(path: str, *headers: str, body: object = None) -> bytes:
    """A request on a connection of its own."""
    return request_bytes(
        path, BODIES[path] if body is None else body, headers=("Connection: close", *headers)
    )


async def test_a_gateway_that_is_away_is_said_in_the_callers_words(proxy: Proxy) -> None:
    """An SDK reads `error`, the front end reads `message`, and neither of them reads HTML."""
    asked = [
        (
            post(path, f"X-Request-ID: {given}").replace(b"POST ", f"POST {below}".encode(), 1),
            proxy.beside_port if below else proxy.port,
        )
        for path in (V1, CHAT)
        for below in ("", BELOW)
        for given in GIVEN_IDS
    ]

    answers = await asyncio.gather(*(send(proxy, raw, port=port) for raw, port in asked))

    for (raw, _), heard in zip(asked, answers, strict=True):
        assert error_of(heard) == (UNREACHABLE[proxy.kind.part], "gateway_unreachable")
        assert header_of(heard, "content-type") == "application/json"
        assert header_of(heard, "cache-control") == "no-store"
        assert ("message" in heard.json) == (CHAT.encode() in raw)
        # What was made up is nowhere: it would be written into JSON as it came (D07).
        expected = "call-1" if b": call-1\r" in raw else "[A-Za-z0-9_-]{20,}|call-2"
        assert re.fullmatch(expected, header_of(heard, "x-request-id") or "")


async def test_nothing_else_has_a_way_through(behind: OpenBehind, proxy: Proxy) -> None:
    """D02, L06: what operators see is on a listener that no proxy knows."""
    await behind()

    for path in ELSEWHERE:
        heard = await send(proxy, get(path))
        assert error_of(heard) in {(404, "not_found"), (400, "invalid_path")}, path
        assert header_of(heard, "location") is None


async def test_paths_reach_the_gateway_as_they_were_sent_or_not_at_all(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """D01: a proxy that decodes lets pass what the gateway would refuse, and breaks model names."""
    gateway = await behind()

    for path in ODD_PATHS:
        heard = await send(proxy, get(path))
        assert heard.json["error"]["code"] in {"invalid_path", "not_found", "malformed_request"}
    for path in ("/v1/models/sim%2Fno-such", "/v1/models/sim%2Fm%2b1%3Ax"):
        assert error_of(await send(proxy, get(path))) == (404, "model_not_found")

    assert {line["path"] for line in gateway.log.settled} <= {
        *ODD_PATHS,
        "/v1/models/sim%2Fno-such",
        "/v1/models/sim%2Fm%2b1%3Ax",
    }


@pytest.mark.parametrize("below", ["", BELOW])
async def test_no_proxy_makes_another_path_of_the_one_that_was_sent(
    behind: OpenBehind, proxy: Proxy, below: str
) -> None:
    """D01: what the gateway would refuse is for the gateway to see, or for nobody."""
    gateway = await behind()
    port = proxy.beside_port if below else proxy.port

    for path in OTHERWISE_WRITTEN:
        before = len(gateway.log.settled)
        heard = await send(proxy, get(below + path), port=port)

        asked = [line["path"] for line in gateway.log.settled[before:]]
        if asked:
            assert asked in ([path], [below + path])
        else:
            assert heard.status in {400, 404}, path


async def test_a_body_of_the_limit_is_invited_and_one_byte_more_is_a_413(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """C01: the limits are the same, so that nobody wonders who refused."""
    gateway = await behind()
    heads = [f"POST {path} HTTP/1.1" for path in (V1, CHAT)]
    expects = "Expect: 100-continue"

    async with Caller(proxy.port, host=proxy.host) as caller:
        await caller.send(raw_request(heads[0], f"Content-Length: {LIMIT}", expects))
        invited = await caller.read_until(b"\r\n\r\n")
    refused = [
        await first_answer(proxy, raw_request(head, f"Content-Length: {LIMIT + 1}"))
        for head in heads
    ]

    assert invited.startswith(b"HTTP/1.1 100 ")
    assert [error_of(heard) for heard in refused] == [(413, "body_too_large")] * 2
    assert TOO_LARGE not in {line["status"] for line in gateway.log.settled}


async def first_answer(proxy: Proxy, raw: bytes, port: int | None = None) -> Heard:
    """The answer to a head whose body is never sent."""
    async with Caller(port or proxy.port, host=proxy.host) as caller:
        await caller.send(raw)
        return await caller.read_answer()


async def test_a_large_prompt_arrives_whole(
    behind: OpenBehind, simulator: Simulator, proxy: Proxy
) -> None:
    """Images ride in the JSON of every turn."""
    await behind()

    heard = await send(proxy, post(V1, AUTHORIZATION, body=LARGE))

    sent = json.loads(simulator.journal.last.body)
    assert heard.status == 200
    assert sent["messages"] == LARGE["messages"]


async def test_a_large_reply_arrives_whole(
    behind: OpenBehind, simulator: Simulator, proxy: Proxy
) -> None:
    """With its length, so that a caller can tell that it is whole."""
    await behind()
    simulator.script({"json_bytes": LARGE_CHARS})

    heard = await send(
        proxy, post(V1, AUTHORIZATION, body={"model": "sim/m", "messages": MESSAGES})
    )

    assert (heard.status, header_of(heard, "content-length")) == (200, str(LARGE_CHARS))
    assert heard.body == simulator.journal.last.body_sent


async def test_no_part_of_an_answer_is_sent_for_the_whole(behind: OpenBehind, proxy: Proxy) -> None:
    """The provider was paid for all of it, and who asks again pays again."""
    await behind()
    whole = {"model": "sim/plain", "messages": MESSAGES}

    for headers in PARTS:
        for below, port in (("", proxy.port), (BELOW, proxy.beside_port)):
            asked = post(V1, AUTHORIZATION, *headers, body=whole)
            listed = await send(proxy, get(f"{below}/v1/models", *headers), port=port)
            answered = await send(proxy, asked.replace(b" ", f" {below}".encode(), 1), port=port)

            assert (listed.status, listed.json["object"]) == (200, "list"), headers
            assert (answered.status, answered.json["object"]) == (200, "chat.completion"), headers
            assert header_of(answered, "content-range") is None


async def test_other_methods_get_the_gateways_answer(behind: OpenBehind, proxy: Proxy) -> None:
    """A HEAD with a body, or one that waits for it, breaks the next answer on its connection."""
    await behind()

    for method, path, status in OTHER_METHODS:
        raw = raw_request(f"{method} {path} HTTP/1.1")
        last = raw_request(f"{method} {path} HTTP/1.1", "Connection: close")
        async with Caller(proxy.port, host=proxy.host) as caller:
            await caller.send(raw + last)
            heard = await caller.read_to_end()

        assert re.findall(rb"HTTP/1\.1 (\d+)", heard.raw) == [b"%d" % status] * 2, (method, path)
        if method == "HEAD":
            assert heard.raw.endswith(b"\r\n\r\n")
            assert b'{"' not in heard.raw


async def test_the_preflight_of_a_browser_reaches_the_gateway(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """Which origins may call is said in one place, and that is not the proxy."""
    await behind(cors_origins=[ORIGIN])
    own = (f"Origin: {ORIGIN}", "Access-Control-Request-Method: POST", "Connection: close")

    for path in (V1, CHAT):
        heard = await send(proxy, raw_request(f"OPTIONS {path} HTTP/1.1", *own, authorized=False))

        assert heard.status == 204
        assert header_of(heard, "access-control-allow-origin") == ORIGIN


async def test_the_gateways_own_errors_pass_untouched(behind: OpenBehind, proxy: Proxy) -> None:
    """Its sentence says what to do; a page of the proxy's in its place says nothing."""
    gateway = await behind()

    for path in (V1, CHAT):
        for model in FAILING:
            own = {"model": f"sim/{model}"} if path == V1 else {"chatSettings": {"model": model}}
            body = {**BODIES[path], **own} if model else {"messages": "none"}
            name = f"{model}{len(path)}"
            async with Caller(gateway.port, host=gateway_host(proxy)) as caller:
                await caller.send(post(path, AUTHORIZATION, f"X-Request-ID: {name}-a", body=body))
                direct = await caller.read_to_end()
            found = await send(
                proxy, post(path, AUTHORIZATION, f"X-Request-ID: {name}-b", body=body)
            )

            expected = direct.body.replace(f"{name}-a".encode(), f"{name}-b".encode())
            assert (found.status, found.body) == (direct.status, expected)
            for header in ("content-type", "x-should-retry", "retry-after"):
                assert header_of(found, header) == header_of(direct, header)
            assert header_of(found, "content-type") == "application/json; charset=utf-8"
            assert found.status >= 400
            assert header_of(found, "x-request-id") == f"{name}-b"
            assert len(re.findall("(?m)^x-request-id:", found.head)) == 1


def gateway_host(proxy: Proxy) -> str:
    """Where the gateway behind it listens."""
    return str(listening(proxy)["host"])


async def test_one_request_id_is_in_the_log_and_in_the_answer(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """With one id a failure is followed from the caller through the proxy to the provider."""
    gateway = await behind()
    sent = ("call-7.a", "not/ours", "x" * 129)

    ids = []
    for given in sent:
        raw = get("/v1/models").replace(b"\r\n\r\n", f"\r\nX-Request-ID: {given}\r\n\r\n".encode())
        ids.append(header_of(await send(proxy, raw), "x-request-id") or "")

    assert ids[0] == "call-7.a"
    assert all(re.fullmatch("[A-Za-z0-9_-]{20,36}", each) for each in ids[1:])
    assert [line["request_id"] for line in gateway.log.settled] == ids


async def test_under_a_path_of_another_site_everything_is_as_at_the_top(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """The proxy takes the prefix off; no answer names a path, so none names a wrong one."""
    gateway = await behind()
    port = proxy.beside_port
    announced = f"Content-Length: {LIMIT + 1}"

    for path in ("/v1/models", "/api/providers"):
        at_top, below = (
            await send(proxy, get(path)),
            await send(proxy, get(BELOW + path), port=port),
        )
        assert (below.status, below.body) == (200, at_top.body)
        assert header_of(below, "location") is None
    odd = await send(proxy, get(f"{BELOW}/v1/models/sim%2Fx"), port=port)
    large = await send(proxy, post(BELOW + V1, AUTHORIZATION, body=LARGE), port=port)
    refused = [
        await first_answer(proxy, raw_request(f"POST {BELOW}{path} HTTP/1.1", announced), port)
        for path in (V1, CHAT)
    ]
    named = await send(proxy, get(f"{BELOW}/v1/models", "X-Request-ID: call-8"), port=port)

    assert error_of(odd) == (404, "model_not_found")
    assert large.status == 200
    assert [error_of(heard) for heard in refused] == [(413, "body_too_large")] * 2
    assert ["message" in heard.json for heard in refused] == [False, True]
    assert header_of(named, "x-request-id") == gateway.log.settled[-1]["request_id"] == "call-8"
    assert {line["path"] for line in gateway.log.settled} == {
        *("/v1/models", "/api/providers", "/v1/models/sim%2Fx", V1)
    }


async def test_no_odd_request_smuggles_another_one(behind: OpenBehind, proxy: Proxy) -> None:
    """B01-B06, B12, B17, B19: what the two read in different ways would be served."""
    gateway = await behind()
    cases = [case.raw for case in (*ODD, *PLAIN)]

    heard = await asyncio.gather(*(talk(proxy, raw) for raw in cases))

    assert all(heard)
    assert {line["path"] for line in gateway.log.settled} <= {V1, CHAT, "/v1/models", ""}
    assert "/smuggled" not in gateway.log.getvalue()


async def test_nothing_of_one_caller_is_taken_for_another_one_s(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """B13: proxies pass trailers on, and what they pass on shares a connection with the next."""
    await behind()
    body = b"2\r\n{}\r\n0\r\nAuthorization: Bearer other\r\n\r\n"
    chunked = ("Transfer-Encoding: chunked", "Trailer: Authorization")
    evil = raw_request(f"POST {V1} HTTP/1.1", *chunked, authorized=False, body=body)

    for _ in range(3):
        async with Caller(proxy.port, host=proxy.host) as caller:
            await caller.send(evil)
            refused = await caller.read_answer()
            heard = await send(proxy, get("/v1/models"))
        assert (refused.status, heard.status) == (401, 200)


async def talk(proxy: Proxy, raw: bytes) -> bytes:
    """What comes back until the end, or until nothing more comes."""
    async with Caller(proxy.port, host=proxy.host) as caller:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await caller.send(raw)
                await caller.read_to_end()
        except (TimeoutError, ConnectionError):
            pass
        return bytes(caller.raw)


@asynccontextmanager
async def deaf_gateway(proxy: Proxy) -> AsyncIterator[list[bytes]]:
    """What stands where a gateway should, reads each request and hangs up."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    where = listening(proxy)
    async with await asyncio.start_server(serve, where["host"], where["port"]):
        yield asked


async def test_a_prompt_is_sent_once(proxy: Proxy) -> None:
    """A proxy that sends a chat again pays for it twice."""
    async with deaf_gateway(proxy) as asked:
        heard = await send(proxy, post(V1, "Idempotency-Key: x"))

    assert error_of(heard) == (502, "gateway_unreachable")
    assert len(asked) == 1


async def test_what_is_no_request_is_a_400(proxy: Proxy) -> None:
    """B05: as JSON, where the proxy lets a configuration decide about that."""
    heard = await send(proxy, b"GET /v1/models HTTP/1.1\r\nnot a header\r\n\r\n")

    assert heard.status == 400
    if proxy.kind.part in WRITES_OWN_400:
        assert b"400 Bad" in heard.raw
    else:
        assert heard.json["error"]["code"] == "malformed_request"


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"], indirect=True)
async def test_too_many_connections_of_one_address_are_told_so(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """A09: one caller must not take all the places; the others are not asked to pay for it."""
    await behind()
    unfinished = raw_request(f"POST {V1} HTTP/1.1", "Content-Length: 10")

    async with AsyncExitStack() as stack:

        async def hold_one_more() -> None:
            caller = await stack.enter_async_context(Caller(proxy.port, host=proxy.host))
            await caller.send(unfinished)

        for _ in range(CONNECTIONS):
            await hold_one_more()
        # Those above the limit were refused; a proxy with threads may refuse one more, or count one
        # that it has refused until that is closed.
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                answers = [await send(proxy, post(path)) for path in (V1, CHAT)]
                if all(heard.status == TOO_MANY for heard in answers):
                    break
                await hold_one_more()
        other = await ask_from(proxy, OFFICE)

    assert [error_of(heard) for heard in answers] == [(429, "too_many_connections")] * 2
    assert ["message" in heard.json for heard in answers] == [False, True]
    assert other == 200


async def ask_from(proxy: Proxy, address: str) -> int:
    """The status of a question that comes from an address."""
    headers = {"Authorization": AUTHORIZATION.split(": ")[1]}
    url = f"http://{proxy.host}:{proxy.port}/v1/models"
    async with (
        ClientSession(connector=TCPConnector(local_addr=(address, 0))) as session,
        session.get(url, headers=headers) as reply,
    ):
        return reply.status


@pytest.mark.parametrize("path", [V1, CHAT])
async def test_a_key_in_the_clear_is_refused_as_json_where_that_is_written(
    proxies: Proxies, path: str
) -> None:
    """The line is a comment until there is a certificate, and nobody sees what it would answer."""
    proxy = proxies.start_on_loopback(KINDS["haproxy"], takes_keys_in_the_clear=False)

    heard = await send(proxy, post(path, "X-Request-ID: call-9"))

    assert error_of(heard) == (403, "https_required")
    assert header_of(heard, "x-request-id") == "call-9"
    assert ("message" in heard.json) == (path == CHAT)
