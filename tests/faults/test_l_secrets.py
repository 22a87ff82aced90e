"""Group L: secrets on every path that fails, and what else a log line can be made to say.

The rule here: a scene looks for its secrets in every answer, the log, the metrics, the admin pages
and all files when it ends; a test here only sends them wherever one could get stuck.
"""

import asyncio
import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.admin_scene import ask_admin, bearer, open_stored
from tests.plugins.admin_scene import make_key as make_stored_key
from tests.plugins.gateway import CREDENTIAL
from tests.plugins.raw_provider import RawProvider, read_request
from tests.plugins.scene import CHAT, PATHS, PROMPT, V1, Scene, at, body_of, raw_request

EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
REPLY = '{"id":"c","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def answer(status: str, body: str, *headers: str, kind: str = "application/json") -> bytes:
    """An answer of a provider."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body.encode())}",
        "Connection: close",
        *headers,
    ]
    return ("\r\n".join([*lines, "", ""]) + body).encode()


def error_with(secret: str, **fields: object) -> str:
    """An error as most providers write it."""
    return json.dumps({"error": {"message": f"No: {secret}.", "type": "x", "code": None, **fields}})


# Where a provider can put what it was shown. What a model writes passes as it came, and is not
# looked at.
ECHOES = {
    "message-401": lambda s: answer("401 Unauthorized", error_with(s)),
    "message-400": lambda s: answer("400 Bad Request", error_with(s)),
    "message-500": lambda s: answer("500 Oops", error_with(s)),
    "code": lambda s: answer("400 Bad Request", error_with("", code=s)),
    "type": lambda s: answer("400 Bad Request", error_with("", type=s)),
    "param": lambda s: answer("400 Bad Request", error_with("", param=s)),
    "extra": lambda s: answer("400 Bad Request", error_with("", metadata={"raw": s, s: 1})),
    "detail": lambda s: answer("422 No", json.dumps({"detail": [{"msg": s, "loc": [s]}]})),
    "text": lambda s: answer("403 Forbidden", f"no, {s}", kind="text/plain"),
    "page": lambda s: answer("502 Bad Gateway", f"<h1>{s}</h1>", kind="text/html"),
    "page-200": lambda s: answer("200 OK", f"<h1>{s}</h1>", kind="text/html"),
    "not-json": lambda s: answer("200 OK", f'{{"error": "{s}"'),
    "reason": lambda s: answer(f"503 {s}", error_with("")),
    "location": lambda s: answer("302 Found", "", f"Location: https://a.example/?key={s}"),
    "headers": lambda s: answer("429 Slow", error_with(""), f"Retry-After: {s}", f"X-Echo: {s}"),
    "challenge": lambda s: answer("401 No", error_with(""), f"WWW-Authenticate: Bearer {s}"),
    "bad-header": lambda s: f"HTTP/1.1 200 OK\r\n{s}\x00: 1\r\n\r\n".encode(),
    "no-http": lambda s: f"{s}\r\n\r\n".encode(),
    "event": lambda s: STREAM + EVENT + f"data: {error_with(s)}\n\n".encode(),
    "first-event": lambda s: STREAM + f"data: {error_with(s)}\n\n".encode(),
    "named-event": lambda s: STREAM + EVENT + f"event: error\ndata: {error_with(s)}\n\n".encode(),
    "comment": lambda s: STREAM + f": {s}\n\n".encode() + EVENT + DONE,
    "id": lambda s: STREAM[:-2] + f"X-Request-Id: {s}\r\n\r\n".encode() + EVENT + DONE,
    "id-of-error": lambda s: answer("400 No", error_with(""), f"X-Request-Id: {s}"),
    "id-of-reply": lambda s: answer("200 OK", REPLY, f"X-RateLimit-Limit: {s}"),
    "cut": lambda s: STREAM + EVENT + f'data: {{"error": "{s}'.encode(),
}


@pytest.mark.parametrize("path", PATHS)
async def test_a_provider_that_echoes_the_credential(open_scene: OpenScene, path: str) -> None:
    """L01: nobody but the provider knows it, and no caller learns it that way."""
    told = [b""]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(told[0])
        await writer.drain()
        writer.close()

    async with RawProvider(serve) as provider:
        scene = await open_scene(**at(provider.port))
        for echo in ECHOES.values():
            told[0] = echo(CREDENTIAL)
            for fields in ({}, {"stream": False})[: 2 if path == V1 else 1]:
                await scene.ask(path=path, **fields)


# The same when the caller has seen the beginning of the answer.
LATE_ECHOES = {
    "event": lambda s: f"data: {error_with(s)}\n\n",
    "named-event": lambda s: f"event: error\ndata: {error_with(s)}\n\n",
    "bare-event": lambda s: f'data: {{"object": "error", "message": "{s}", "code": 401}}\n\n',
    "list": lambda s: f"data: [{error_with(s)}]\n\n",
    "groq": lambda s: f'data: {{"choices": [], "x_groq": {{"error": "{s}"}}}}\n\n',
    "choice": lambda s: (
        f'data: {{"choices": [{{"error": {{"message": "{s}"}}, "finish_reason": "error"}}]}}\n\n'
    ),
    "text": lambda s: f"event: error\ndata: no, {s}\n\n",
    "unreadable": lambda s: f"data: no, {s}\n\n",
    "comment": lambda s: f": {s}\n\n",
    "after-done": lambda s: f"data: [DONE]\n\ndata: {error_with(s)}\n\n",
}


@pytest.mark.parametrize("path", PATHS)
async def test_a_provider_that_echoes_the_credential_late(open_scene: OpenScene, path: str) -> None:
    """L01: its events pass as they came, and a credential is in none of them."""
    told, goes_on = [""], asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(STREAM + EVENT)
        await goes_on.wait()
        writer.write(told[0].encode())
        await writer.drain()
        writer.close()

    async with RawProvider(serve) as provider:
        scene = await open_scene(**at(provider.port))
        for echo in LATE_ECHOES.values():
            goes_on.clear()
            told[0] = echo(CREDENTIAL)
            async with scene.call("plain", path) as caller:
                begun = await caller.read_until(b"Hi")
                goes_on.set()
                rest = await caller.read_to_end()
            assert begun.startswith(b"HTTP/1.1 200 ")
            assert CREDENTIAL.encode() not in rest.raw


MISPLACED = {
    "query": lambda k: raw_request(f"GET /api/keys?key={k} HTTP/1.1", "Connection: close"),
    "path": lambda k: raw_request(f"GET /nothing/{k} HTTP/1.1", "Connection: close"),
    "encoded": lambda k: raw_request(f"GET /x/..%2f{k} HTTP/1.1", "Connection: close"),
    "provider": lambda k: post(f"/api/chat/{k}", body_of(CHAT)),
    "no-provider": lambda k: post(V1, body_of(V1, model=k)),
    "field": lambda k: post(V1, body_of(V1, **{k: 1})),
    "value": lambda k: post(V1, body_of(V1, max_tokens=k)),
    "role": lambda k: post(V1, body_of(V1, messages=[{"role": k, "content": PROMPT}])),
    "half-a-body": lambda k: post(V1, f'{{"model": "sim/{k}", "messages": ["{PROMPT}'),
    "twice": lambda k: post(V1, f'{{"a": "{k} {PROMPT}", "a": 1}}'),
    "nested": lambda k: post(V1, "[" * 100 + f'"{k} {PROMPT}"'),
    "user-agent": lambda k: post(V1, body_of(V1), f"User-Agent: {k}", f"Referer: http://{k}/"),
    "trace": lambda k: post(V1, body_of(V1), f"tracestate: a={k}", f"traceparent: {k}"),
    "request-id": lambda k: post(V1, body_of(V1), f"X-Request-ID: {k}"),
    "cookie": lambda k: post(V1, body_of(V1), f"Cookie: session={k}"),
    "basic": lambda k: raw_request(
        "GET /api/keys HTTP/1.1",
        f"Authorization: Basic {b64encode(f'user:{k}'.encode()).decode()}",
        "Connection: close",
        authorized=False,
    ),
    "twice-shown": lambda k: raw_request("GET /api/keys HTTP/1.1", bearer(k), "Connection: close"),
    "method": lambda k: f"{k} / HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "version": lambda k: f"GET / {k}\r\nHost: a\r\n\r\n".encode(),
    "header-name": lambda k: f"GET / HTTP/1.1\r\nHost: a\r\n{k} : 1\r\n\r\n".encode(),
    "header-value": lambda k: f"GET / HTTP/1.1\r\n{bearer(k)}\x00\r\n\r\n".encode(),
    "folded": lambda k: f"GET / HTTP/1.1\r\nAuthorization:\r\n {bearer(k)}\r\n\r\n".encode(),
    "long": lambda k: f"GET /{k * 300} HTTP/1.1\r\n\r\n".encode(),
    "host": lambda k: raw_request("GET /api/keys HTTP/1.1", f"Host: {k}", "Connection: close"),
    "expect": lambda k: post(V1, body_of(V1), f"Expect: {k}"),
    "coding": lambda k: post(V1, body_of(V1), f"Content-Encoding: {k}"),
    "origin": lambda k: post(V1, body_of(V1), f"Origin: https://{k}"),
}


def post(path: str, body: object, *headers: str) -> bytes:
    """One request with the scene's own key."""
    written = (body if isinstance(body, str) else json.dumps(body)).encode()
    length = f"Content-Length: {len(written)}"
    return raw_request(f"POST {path} HTTP/1.1", length, "Connection: close", *headers, body=written)


async def test_a_key_that_is_put_anywhere(open_scene: OpenScene) -> None:
    """L01, L04, L07: in no answer's text, no line and no series, whatever it was taken for."""
    scene = await open_stored(open_scene)
    key = await make_stored_key(scene, "bob")

    for name, write in MISPLACED.items():
        heard = await scene.send(write(key))
        assert heard.status, name
        for text in (b"Traceback", b"Error:", b"aiohttp", b"/gateway/"):
            assert text not in heard.body, name


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_in_the_place_of_a_model(
    open_scene: OpenScene, closed_port: int, path: str
) -> None:
    """L01: the name of a model is in the log line; what has the form of a key is not."""
    scene = await open_stored(open_scene, **at(closed_port))
    key = await make_stored_key(scene, "bob")

    for model in (key, f"x{key}", f"a%2f{key}", f"{key}{key}"):
        named = {"model": f"sim/{model}"} if path == V1 else {"chatSettings": {"model": model}}
        assert (await scene.send(post(path, body_of(path, **named)))).status == 502
        assert (await scene.settled(len(scene.heard)))["model"] is not None


async def test_a_key_that_is_sent_to_an_admin_page(open_scene: OpenScene) -> None:
    """L01: as a name, a field, a page or a query; nothing there quotes what it was sent."""
    scene = await open_stored(open_scene)
    key = await make_stored_key(scene, "bob")

    for method, path, body in (
        ("GET", f"/keys/{key}", None),
        ("GET", f"/{key}", None),
        ("GET", f"/keys?after={key}&limit={key}", None),
        ("POST", "/keys", {"name": f"{key} "}),
        ("POST", "/keys", {key: 1}),
        ("POST", "/keys", {"name": "x", "networks": [key]}),
        ("POST", "/keys", {"name": "x", "models": [key]}),
        ("POST", "/keys/bob/rotate", {"overlap": key}),
        ("POST", "/keys/test", {"key": key}),
        ("POST", "/keys/test", {"key": key[:-1]}),
        ("GET", f"/keys/{quote(key + '/')}", None),
    ):
        scene.heard.append(await ask_admin(scene, method, path, body))

    assert {heard.status for heard in scene.heard} == {200, 400, 404}


FORGED = ["a\nb", "a\r\nb", "\x1b[31mred", "a\u2028b", "a\x00b", "\x9b2J", "x" * 200_000, '","b":"']


async def test_a_line_of_the_log_is_one_line(scene: Scene) -> None:
    """L02: it cannot be ended, coloured or filled by what somebody sends."""
    for text in FORGED:
        for path in PATHS:
            named = {"model": f"sim/{text}"} if path == V1 else {"chatSettings": {"model": text}}
            body = body_of(path, **{"messages": [{"role": "user", "content": "Hi"}], **named})
            scene.simulator.script("plain")  # where the model is no preset
            await scene.send(post(path, body, "User-Agent: a\tb"))

    written = scene.gateway.log.getvalue()
    assert len(written.split("\n")) == len(scene.gateway.log.lines) + 1
    assert all(len(line) < 3_000 for line in written.split("\n"))
    assert not any(char in written for char in "\x1b\x9b\u2028\x00\r")


async def test_series_are_not_made_by_callers(scene: Scene) -> None:
    """L03: neither names that no provider has answered to, nor anything else they send."""
    await scene.ask("plain")
    counts = []

    for number in range(20):
        unknown = f'sim/sim:{{"error":{{"status":404,"message":"model-{number}"}}}}'
        await scene.send(post(V1, body_of(V1, model=unknown)))
        await scene.send(post(V1, body_of(V1, model=f"provider-{number}/m")))
        await scene.send(post(f"/api/chat/provider-{number}", body_of(CHAT)))

        counts.append(scene.gateway.metrics.count("\n"))

    text = scene.gateway.metrics
    assert "model-4" not in text
    assert "provider-4" not in text
    assert counts == counts[:1] * len(counts)
