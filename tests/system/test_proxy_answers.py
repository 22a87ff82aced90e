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
    BODIES,
    CHAT,
    V1,
    OpenBehind,
    listening,
    only_linux,
    send,
)
from tests.plugins.proxies.running import Proxy
from tests.plugins.raw_caller import Caller, Heard, request_bytes
from tests.plugins.scene import AUTHORIZATION, TIMEOUT_S, error_of, header_of, raw_request

pytestmark = only_linux()

BOTH = pytest.mark.parametrize("path", [V1, CHAT], ids=["v1", "chat"])
CONNECTIONS = 260  # of one address; the shipped files let in 250
TOO_MANY = 429
LIMIT = 32 * 1024 * 1024
LARGE_CHARS = 300_000
PATIENCE_S = 0.3  # with what is never answered
OFFICE = "127.0.0.9"
UNREACHABLE = {"nginx": 502, "haproxy": 503, "caddy": 502, "apache": 503}
# What they cannot read they answer with a text of their own, which no configuration changes.
WRITES_OWN_400 = {"haproxy", "caddy"}
ELSEWHERE = (
    *("/", "/healthz", "/readyz", "/metrics", "/keys", "/usage", "/admin", "/api", "/v1", "/v10"),
    *("/v1/../metrics", "/V1/models", "//metrics", "/metrics/..%2fv1/models", "/llm", "/llm/keys"),
    *("/llm/api", "/llm/v1", "/llm/v1/../../metrics"),
)
ODD_PATHS = ("/api/chat/..%2fchat%2Fgroq", "/v1/models/..%2f..%2fadmin", "/api/chat/%00")


def get(path: str) -> bytes:
    """A question with a key, on a connection of its own."""
    return raw_request(f"GET {path} HTTP/1.1", "Connection: close")


def post(path: str, *headers: str, body: object = None) -> bytes:
    """A request with a key, on a connection of its own."""
    return request_bytes(
        path, BODIES[path] if body is None else body, headers=("Connection: close", *headers)
    )


async def test_a_gateway_that_is_away_is_said_in_the_callers_words(proxy: Proxy) -> None:
    """An SDK reads `error`, the front end reads `message`, and neither of them reads HTML."""
    asked = [
        post(path, f"X-Request-ID: {given}").replace(b"POST ", f"POST {prefix}".encode(), 1)
        for path in (V1, CHAT)
        for prefix in ("", "/llm")
        for given in ("call-1", 'a","b":"c')
    ]

    answers = await asyncio.gather(*(send(proxy, raw) for raw in asked))

    for raw, heard in zip(asked, answers, strict=True):
        assert error_of(heard) == (UNREACHABLE[proxy.name], "gateway_unreachable")
        assert header_of(heard, "content-type") == "application/json"
        assert header_of(heard, "cache-control") == "no-store"
        assert ("message" in heard.json) == (CHAT.encode() in raw)
        # What was made up is nowhere: it would be written into JSON as it came (D07).
        expected = "call-1" if b"call-1" in raw else "[A-Za-z0-9_-]{20,}"
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


async def test_a_body_of_the_limit_is_invited_and_one_byte_more_is_a_413(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """C01: the limits are the same, so that nobody wonders who refused."""
    await behind()
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


async def first_answer(proxy: Proxy, raw: bytes) -> Heard:
    """The answer to a head whose body is never sent."""
    async with Caller(proxy.port, host=proxy.host) as caller:
        await caller.send(raw)
        return await caller.read_answer()


async def test_a_large_prompt_arrives_whole(
    behind: OpenBehind, simulator: Simulator, proxy: Proxy
) -> None:
    """Images ride in the JSON of every turn."""
    await behind()
    content = "ü" * LARGE_CHARS
    body = {"model": "sim/plain", "messages": [{"role": "user", "content": content}]}

    heard = await send(proxy, post(V1, AUTHORIZATION, body=body))

    sent = json.loads(simulator.journal.last.body)
    assert heard.status == 200
    assert sent["messages"][0]["content"] == content


async def test_the_gateways_own_errors_pass_untouched(behind: OpenBehind, proxy: Proxy) -> None:
    """Its sentence says what to do; a page of the proxy's in its place says nothing."""
    gateway = await behind()

    for path in (V1, CHAT):
        for model in ("rate-limited", "bad-gateway-page", "unavailable", "groq-413"):
            own = {"model": f"sim/{model}"} if path == V1 else {"chatSettings": {"model": model}}
            body = {**BODIES[path], **own}
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


@pytest.mark.parametrize("trusts", [True, False], ids=["trusted", "default"])
async def test_the_caller_is_who_the_proxy_saw(
    behind: OpenBehind, proxy: Proxy, *, trusts: bool
) -> None:
    """D06: and nobody is believed about that by default, nor ever a caller."""
    gateway = await behind(trusted_proxies=["127.0.0.1/32"] if trusts else [])
    made_up = {
        "X-Forwarded-For": "192.0.2.1",
        "Forwarded": "for=192.0.2.1",
        "X-Real-IP": "192.0.2.1",
    }
    connector = TCPConnector(local_addr=(OFFICE, 0))

    async with ClientSession(connector=connector) as session:
        for header in made_up.items():
            headers = {"Authorization": AUTHORIZATION.split(": ")[1], **dict([header])}
            url = f"http://{proxy.host}:{proxy.port}/v1/models"
            async with session.get(url, headers=headers) as reply:
                assert reply.status == 200

    seen = {line["client"] for line in gateway.log.settled}
    assert seen == {OFFICE if trusts else "127.0.0.1"}


async def test_without_auth_nobody_is_let_in_through_a_proxy(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """A gateway on loopback trusts its own machine; behind a proxy everybody comes from there."""
    await behind(auth=None)

    heard = await send(
        proxy,
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )

    assert error_of(heard) == (401, "unauthenticated")


async def test_under_a_path_of_another_site_everything_is_as_at_the_top(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """The proxy takes the prefix off; no answer names a path, so none names a wrong one."""
    gateway = await behind()

    for path in ("/v1/models", "/api/providers"):
        at_top, below = await send(proxy, get(path)), await send(proxy, get(f"/llm{path}"))
        assert (below.status, below.body) == (200, at_top.body)
        assert header_of(below, "location") is None
    odd = await send(proxy, get("/llm/v1/models/sim%2Fx"))

    assert error_of(odd) == (404, "model_not_found")
    assert gateway.log.settled[-1]["path"] == "/v1/models/sim%2Fx"


async def test_no_odd_request_smuggles_another_one(behind: OpenBehind, proxy: Proxy) -> None:
    """B01-B06, B12, B17, B19: what the two read in different ways would be served."""
    gateway = await behind()
    cases = [case.raw for case in (*ODD, *PLAIN)]

    heard = await asyncio.gather(*(talk(proxy, raw) for raw in cases))

    assert all(heard)
    assert {line["path"] for line in gateway.log.settled} <= {V1, CHAT, "/v1/models", ""}
    assert "/smuggled" not in gateway.log.getvalue()


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
    if proxy.name in WRITES_OWN_400:
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
        # Those above the limit were refused and closed; a proxy with threads may refuse one more.
        async with asyncio.timeout(TIMEOUT_S):
            while (await send(proxy, post(V1))).status != TOO_MANY:
                await hold_one_more()
        answers = [await send(proxy, post(path)) for path in (V1, CHAT)]
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
