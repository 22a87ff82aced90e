"""The gateway behind a real nginx with the configuration that ships: errors, ids and whole bodies.

The rule here: what is compared is what a caller gets through nginx and what one gets without it.
"""

import hashlib
import json
import re
from typing import Any

import aiohttp
import pytest

from gateway.simulator import Simulator
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.nginx import StartNginx
from tests.plugins.raw_caller import Caller, Heard, request_bytes
from tests.plugins.stepped_provider import SteppedProvider

KEY = "a-key-of-the-gateway"
AUTH = [
    {"kind": "gateway_key", "keys": {"ann": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}}
]
MESSAGES = [{"role": "user", "content": "Hi"}]
V1, CHAT = "/v1/chat/completions", "/api/chat/sim"
ORIGIN = "https://chat.example.org"
LARGE_CHARS = 5_000_000
LEFT_S = 2.0
BOTH = pytest.mark.parametrize("path", [V1, CHAT], ids=["v1", "chat"])


def body_of(path: str, model: str = "plain", **fields: Any) -> dict[str, Any]:
    """A request's body; the model tells the simulator what to do."""
    if path == V1:
        return {"model": f"sim/{model}", "messages": MESSAGES, **fields}
    return {"chatSettings": {"model": model}, "messages": MESSAGES, **fields}


async def ask(port: int, path: str, body: object, *headers: str) -> Heard:
    """One request with a key, on a connection of its own."""
    own = ("Connection: close", f"Authorization: Bearer {KEY}", *headers)
    async with Caller(port) as caller:
        await caller.send(request_bytes(path, body, headers=own))
        return await caller.read_to_end()


def header_of(heard: Heard, name: str) -> str | None:
    """One header of an answer."""
    found = re.search(rf"(?m)^{name}: (.*?)\r?$", heard.head)
    return found[1] if found else None


@pytest.fixture
async def gateway(start_gateway: StartGateway, simulator: Simulator) -> Gateway:
    """A gateway with a key, that asks only once."""
    entry = {"base_url": simulator.base_url, "allow_private": True, "retries": 0}
    return await start_gateway(
        providers={"sim": entry},
        settings={"auth": AUTH, "server": {"cors_origins": [ORIGIN]}},
        environ={"SIM_API_KEY": CREDENTIAL},
    )


@BOTH
@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("not-found", 404),
        ("unauthorized", 401),
        ("rate-limited", 429),
        ("server-error", 500),
        ("unavailable", 503),
        ("bad-gateway-page", 502),
        ("redirect", 502),
        ("groq-413", 413),
        ("openrouter-524", 524),
    ],
)
async def test_the_gateways_own_errors_pass_untouched(
    gateway: Gateway, start_nginx: StartNginx, path: str, model: str, status: int
) -> None:
    """Its sentence says what to do; a page of nginx's in its place says nothing."""
    nginx = start_nginx(gateway.port)
    body = body_of(path, model, stream=True) if path == V1 else body_of(path, model)

    direct = await ask(gateway.port, path, body, "X-Request-ID: call-1")
    found = await ask(nginx.port, path, body, "X-Request-ID: call-2")

    assert (found.status, direct.status) == (status, status)
    assert found.body == direct.body.replace(b"call-1", b"call-2")
    assert header_of(found, "x-request-id") == "call-2"
    for name in ("content-type", "x-should-retry", "retry-after"):
        assert header_of(found, name) == header_of(direct, name)


@BOTH
async def test_a_mistake_of_the_caller_is_explained_by_the_gateway(
    gateway: Gateway, start_nginx: StartNginx, path: str
) -> None:
    """It knows the request; nginx knows only its size."""
    nginx = start_nginx(gateway.port)

    heard = await ask(nginx.port, path, {"messages": "none"})

    assert (heard.status, header_of(heard, "content-type")) == (
        400,
        "application/json; charset=utf-8",
    )
    assert heard.json["error"]["code"] == "invalid_request"


async def test_a_body_over_nginxs_limit_never_reaches_the_gateway(
    gateway: Gateway, start_nginx: StartNginx
) -> None:
    """Both limits are the same, so the first that is met refuses, and as JSON."""
    nginx = start_nginx(gateway.port)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {32 * 1024**2 + 1}\r\n\r\n"

    async with Caller(nginx.port) as caller:
        await caller.send(head.encode())
        heard = Heard(await caller.read_until(b"}}"))

    assert (heard.status, heard.json["error"]["code"]) == (413, "body_too_large")
    assert gateway.log.settled == []


@BOTH
async def test_a_gateway_that_has_stopped_is_a_502_as_json(
    gateway: Gateway, start_nginx: StartNginx, path: str
) -> None:
    """While it is restarted callers are told to come back."""
    nginx = start_nginx(gateway.port)
    await gateway.service.stop()

    heard = await ask(nginx.port, path, body_of(path))

    assert (heard.status, heard.json["error"]["code"]) == (502, "gateway_unreachable")


@BOTH
async def test_a_timeout_of_nginx_is_a_504_as_json_and_ends_the_exchange(
    start_gateway: StartGateway, start_nginx: StartNginx, path: str
) -> None:
    """When nginx gives up first the provider must not go on for nobody."""
    async with SteppedProvider() as silent:
        entry = {
            "base_url": silent.base_url,
            "allow_private": True,
            "auth": {"required": False},
        }
        gateway = await start_gateway(providers={"sim": entry}, settings={"auth": AUTH})
        nginx = start_nginx(gateway.port, read_timeout_s=0.2)

        heard = await ask(nginx.port, path, body_of(path))
        await silent.wait_until_left(LEFT_S)

    assert (heard.status, heard.json["error"]["code"]) == (504, "gateway_timeout")
    assert (await gateway.log.wait_for_settled())[0]["outcome"] == "client_gone"


@BOTH
async def test_without_auth_nobody_is_let_in_through_nginx(
    start_gateway: StartGateway, simulator: Simulator, start_nginx: StartNginx, path: str
) -> None:
    """A gateway on loopback trusts its own machine; behind nginx everybody comes from there."""
    entry = {"base_url": simulator.base_url, "allow_private": True}
    gateway = await start_gateway(providers={"sim": entry}, environ={"SIM_API_KEY": CREDENTIAL})
    nginx = start_nginx(gateway.port)
    async with aiohttp.ClientSession() as session:
        direct = await session.post(f"{gateway.url}{path}", json=body_of(path))
        await direct.read()

        through = await session.post(
            f"{nginx.url}{path}", json=body_of(path), headers={"Host": "localhost"}
        )
        text = await through.text()

    assert (direct.status, through.status) == (200, 401)
    message = json.loads(text)["message" if path == CHAT else "error"]
    assert "auth: [{kind: gateway_key, keys: {alice:" in str(message)
    assert len(simulator.journal) == 1


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("X-Request-ID: call-7.a", "call-7.a"),
        ("X-Request-ID: not/ours", "[0-9a-f]{32}"),
        ("X-Other: 1", "[0-9a-f]{32}"),
    ],
)
async def test_one_request_id_is_in_both_logs_and_in_the_answer(
    gateway: Gateway, start_nginx: StartNginx, sent: str, expected: str
) -> None:
    """With one id a failure is followed from the caller through nginx to the provider."""
    nginx = start_nginx(gateway.port)

    heard = await ask(nginx.port, V1, body_of(V1), sent)

    settled = await gateway.log.wait_for_settled()
    assert re.fullmatch(expected, settled[0]["request_id"])
    assert header_of(heard, "x-request-id") == settled[0]["request_id"]
    assert len(re.findall("(?m)^x-request-id:", heard.head)) == 1


async def test_a_large_prompt_arrives_whole(
    gateway: Gateway, simulator: Simulator, start_nginx: StartNginx
) -> None:
    """Images ride in the JSON of every turn: nginx keeps such a body in a file meanwhile."""
    nginx = start_nginx(gateway.port)
    content = "ü" * LARGE_CHARS
    body = {"model": "sim/plain", "messages": [{"role": "user", "content": content}]}

    heard = await ask(nginx.port, V1, body)

    sent = json.loads(simulator.journal.last.body)
    assert heard.status == 200
    assert (
        hashlib.sha256(sent["messages"][0]["content"].encode()).digest()
        == hashlib.sha256(content.encode()).digest()
    )


async def test_a_large_reply_arrives_whole(
    gateway: Gateway, simulator: Simulator, start_nginx: StartNginx
) -> None:
    """With its length, so that a caller can tell that it is whole."""
    nginx = start_nginx(gateway.port)
    simulator.script({"json_bytes": LARGE_CHARS})

    heard = await ask(nginx.port, V1, body_of(V1, "m"))

    assert (heard.status, header_of(heard, "content-length")) == (200, str(LARGE_CHARS))
    assert (
        hashlib.sha256(heard.body).digest()
        == hashlib.sha256(simulator.journal.last.body_sent).digest()
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/v1/models", 200),
        ("HEAD", "/api/keys", 200),
        ("HEAD", V1, 405),
        ("HEAD", CHAT, 405),
        ("HEAD", "/v1/nothing", 404),
        ("OPTIONS", V1, 405),
        ("OPTIONS", "/v1/models", 405),
    ],
)
async def test_other_methods_get_the_gateways_answer(
    gateway: Gateway, start_nginx: StartNginx, method: str, path: str, status: int
) -> None:
    """A HEAD with a body, or one that waits for it, breaks the next answer on its connection."""
    nginx = start_nginx(gateway.port)
    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"

    async with Caller(nginx.port) as caller:
        await caller.send(f"{request}\r\n{request}Connection: close\r\n\r\n".encode())
        heard = await caller.read_to_end()

    statuses = re.findall(rb"HTTP/1\.1 (\d+)", heard.raw)
    assert statuses == [str(status).encode()] * 2
    if method == "HEAD":
        assert heard.raw.endswith(b"\r\n\r\n")
        assert b'{"' not in heard.raw


@BOTH
async def test_the_preflight_of_a_browser_reaches_the_gateway(
    gateway: Gateway, start_nginx: StartNginx, path: str
) -> None:
    """Which origins may call is said in one place, and that is not nginx."""
    nginx = start_nginx(gateway.port)
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}

    async with (
        aiohttp.ClientSession() as session,
        session.options(f"{nginx.url}{path}", headers=headers) as reply,
    ):
        await reply.read()

    assert reply.status == 204
    assert reply.headers["Access-Control-Allow-Origin"] == ORIGIN
