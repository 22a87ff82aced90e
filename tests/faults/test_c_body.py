"""Bodies: too large, too many, not JSON, JSON that can be read in two ways, and costly JSON.

The rule here: what is refused has not been sent to a provider, and is a 4xx: never a 500.
"""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.middleware.read_request import HELD_BODIES
from tests.faults.conftest import OpenScene
from tests.plugins.proxies.running import Proxy
from tests.plugins.raw_caller import Caller
from tests.plugins.raw_provider import OK, RawProvider, answer_with
from tests.plugins.scene import (
    CHAT,
    DONE,
    MESSAGES,
    PATHS,
    V1,
    Scene,
    body_of,
    error_of,
    header_of,
    raw_request,
)

KIBIBYTE = 1024


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A request with this body that ends its connection."""
    return raw_request(
        f"POST {path} HTTP/1.1",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
        body=body,
    )


def chunked(path: str, body: bytes) -> bytes:
    """The same without an announced length."""
    framed = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    return raw_request(
        f"POST {path} HTTP/1.1", "Transfer-Encoding: chunked", "Connection: close", body=framed
    )


def padded(path: str, body_bytes: int) -> bytes:
    """A good body of exactly this size."""
    body = json.dumps(body_of(path, "plain")).encode()
    return body + b" " * (body_bytes - len(body))


async def refuse(scene: Scene, raw: bytes) -> tuple[int, str]:
    """Status and code of an error; no provider has heard of the request."""
    async with Caller(scene.gateway.port) as caller:
        await caller.send(raw)
        heard = scene.note(await caller.read_answer())
    assert scene.upstream_requests == 0
    return error_of(heard)


@pytest.mark.parametrize("frame", [post, chunked])
@pytest.mark.parametrize("path", PATHS)
async def test_a_body_over_the_limit_is_a_413(open_scene: OpenScene, path: str, frame) -> None:
    """C01: the limit is to the byte, and holds for bodies that do not announce their size."""
    scene = await open_scene(settings={"server": {"max_body_bytes": 4 * KIBIBYTE}})

    refusal = await refuse(scene, frame(path, padded(path, 4 * KIBIBYTE + 1)))
    heard = await scene.send(frame(path, padded(path, 4 * KIBIBYTE)))

    assert refusal == (413, "body_too_large")
    assert heard.status == 200


@pytest.mark.parametrize("path", PATHS)
async def test_nginx_has_the_same_limit(scene_behind_nginx: Scene, nginx: Proxy, path: str) -> None:
    """C01: its own default would be one megabyte; both answers read alike."""
    scene = scene_behind_nginx
    announced = raw_request(f"POST {path} HTTP/1.1", f"Content-Length: {32 * KIBIBYTE**2 + 1}")
    refusals = []
    for port in (nginx.port, scene.gateway.port):
        async with Caller(port) as caller:
            await caller.send(announced)
            refusals.append(error_of(scene.note(await caller.read_answer())))

    large = await scene.send(post(path, padded(path, 2 * KIBIBYTE**2)), port=nginx.port)

    assert refusals == [(413, "body_too_large")] * 2
    assert large.status == 200


async def test_bodies_that_are_too_much_together_are_put_off(open_scene: OpenScene) -> None:
    """C02: each is within its limit; all of them at once are more than the machine has."""
    scene = await open_scene(settings={"server": {"max_body_bytes": 8 * KIBIBYTE}})
    half = padded(V1, 8 * KIBIBYTE)[:-1]
    head = raw_request(f"POST {V1} HTTP/1.1", f"Content-Length: {len(half) + 1}")
    callers = [Caller(scene.gateway.port) for _ in range(4)]
    for caller in callers:
        await caller.__aenter__()
        await caller.send(head + half)

    refused = await asyncio.wait_for(first_answer(callers), 10)
    heard = scene.note(await refused.read_answer())
    for caller in callers:
        caller.hang_up()

    assert error_of(heard) == (503, "overloaded")
    assert header_of(heard, "retry-after") in {"1", "2", "3", "4"}
    assert scene.upstream_requests == 0


@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_that_has_begun_holds_no_body(scene: Scene, path: str) -> None:
    """C02: it is not sent again; an hour of an answer is not an hour of a prompt."""
    async with scene.call({"count": 3, "stall": {"after_tokens": 2}}, path) as caller:
        await caller.read_until(b"\r\n\r\n")
        held_bytes = scene.gateway.service.app[HELD_BODIES].held_bytes

    assert held_bytes == 0


async def first_answer(callers: list[Caller]) -> Caller:
    """The first caller that is answered."""
    tasks = {asyncio.ensure_future(one.read_some()): one for one in callers}
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return tasks[done.pop()]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "made-up", "gzip, identity"])
async def test_an_encoded_body_is_refused_before_it_is_decoded(scene: Scene, coding: str) -> None:
    """C03, C04: two hundred kilobytes may be two hundred megabytes."""
    bomb = zlib.compress(bytes(10_000_000))

    refusal = await refuse(scene, post(V1, bomb, f"Content-Encoding: {coding}"))

    assert refusal == (415, "unsupported_encoding")


def with_messages(text: str) -> bytes:
    """A body whose messages are written as they stand."""
    return f'{{"model":"sim/m","messages":{text},"chatSettings":{{"model":"plain"}}}}'.encode()


def with_field(text: str) -> bytes:
    """A good body with one more field."""
    return with_messages('[{"role":"user","content":"Hi"}],' + text)


NOT_JSON = {
    "C05 deep": with_field('"x":' + "[" * 65 + "]" * 65),
    "C05 deeper": with_field('"x":' + "[" * 2000 + "]" * 2000),
    "C05 abyss": b'{"a":' * 100_000,
    "C05 lists": b"[" * 100_000,
    "C06 twice": with_field('"model":"dear/m"'),
    "C06 twice, escaped": with_field(r'"mod\u0065l":"dear/m"'),
    "C06 twice, inside": with_field('"x":{"a":1,"a":2}'),
    "C07 NaN": with_field('"temperature":NaN'),
    "C07 Infinity": with_field('"temperature":-Infinity'),
    "C09 half a pair": with_field(r'"x":"\ud800"'),
    "C09 half a pair in a name": with_field(r'"\ud800":1'),
    "C10 byte order mark": b"\xef\xbb\xbf" + with_field('"x":1'),
    "C10 UTF-16": with_field('"x":1').decode().encode("utf-16"),
    "C10 UTF-32": with_field('"x":1').decode().encode("utf-32-le"),
    "C10 not UTF-8": with_field('"x":"\N{LATIN SMALL LETTER E}"').replace(b'"e"', b'"\xff\xfe"'),
    "C10 overlong": with_field('"x":"e"').replace(b'"e"', b'"\xc0\xaf"'),
    "C11 null": b"null",
    "C11 list": b"[]",
    "C11 string": b'"x"',
    "C11 number": b"1",
    "C11 blank": b" \r\n",
    "C11 two": with_field('"x":1') * 2,
    "C11 garbage behind": with_field('"x":1') + b"x",
    "C11 cut": with_field('"x":1')[:-1],
    "C11 comma": with_field('"x":1,'),
    "C11 comment": with_field('"x":1/**/'),
    "C11 single quotes": with_field("'x':1"),
    "C11 form": b"model=sim%2Fm&messages=Hi",
    "C11 multipart": b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nsim/m\r\n--x--',
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_what_is_not_strict_json_is_a_400(scene: Scene, path: str, body: bytes) -> None:
    """C05-C07, C09-C11: two readers must not see two requests, and no reader may fall over."""
    assert await refuse(scene, post(path, body)) == (400, "invalid_json")


@pytest.mark.parametrize("path", PATHS)
async def test_no_body_is_a_400(scene: Scene, path: str) -> None:
    """C11: not even an announced length of nothing."""
    bare = raw_request(f"POST {path} HTTP/1.1", "Connection: close")

    assert await refuse(scene, bare) == (400, "invalid_json")


NOT_A_REQUEST = {
    "C08 true": '"n":true',
    "C08 float": '"n":1e3',
    "C08 huge": '"n":18446744073709551616',
    "C08 nought": '"n":0',
    "C08 long": '"n":' + "9" * 5000,
    "C11 stream": '"stream":"true"',
    "C11 options": '"stream_options":[]',
}


@pytest.mark.parametrize("field", NOT_A_REQUEST.values(), ids=NOT_A_REQUEST.keys())
async def test_a_value_of_the_wrong_kind_is_a_400_that_names_the_field(
    scene: Scene, field: str
) -> None:
    """C08, C11: what the gateway acts on must mean one thing; true is no number."""
    async with Caller(scene.gateway.port) as caller:
        await caller.send(post(V1, with_field(field)))
        heard = scene.note(await caller.read_answer())

    assert heard.status == 400
    assert error_of(heard)[1] in {"invalid_request", "invalid_json"}
    assert scene.upstream_requests == 0


@pytest.mark.parametrize(
    "text", ["1e400", "-0", "1e3", "0.10", "18446744073709551616", "1" * 300], ids=len
)
async def test_numbers_reach_the_provider_as_they_were_written(scene: Scene, text: str) -> None:
    """C07, C08: a number that is read and written again may come out as another."""
    heard = await scene.send(post(V1, with_field(f'"x_number":{text}')))

    if heard.status == 200:
        assert f'"x_number":{text}'.encode() in scene.simulator.journal.last.body
    else:
        assert error_of(heard) == (400, "invalid_json")
        assert scene.upstream_requests == 0


@pytest.mark.parametrize("text", ["\u2028\u2029", r"\u0000", "\x7f\u202e", "\U0001f600"])
@pytest.mark.parametrize("path", PATHS)
async def test_odd_characters_are_relayed_as_they_came(scene: Scene, path: str, text: str) -> None:
    """C09: they are the caller's words; only a log must not show them raw."""
    content = f'[{{"role":"user","content":"{text}"}}]'

    heard = await scene.send(post(path, with_messages(content)))

    assert heard.status == 200
    assert content.encode() in scene.simulator.journal.last.body
    assert "\u2028" not in scene.gateway.log.getvalue()


MODELS = {
    "long": "sim/" + "m" * 10_000,
    "control": "sim/m\x1b[31m\r\nforged: 1",
    "separator": "sim/m\u2028x",
    "nothing": "sim/",
    "no provider": "/m",
    "empty": "",
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
async def test_a_models_name_is_short_and_printable(scene: Scene, model: str) -> None:
    """C14: it goes into logs, and to the provider."""
    body = json.dumps({"model": model, "messages": MESSAGES}).encode()

    assert await refuse(scene, post(V1, body)) == (400, "invalid_request")
    assert "\x1b" not in scene.gateway.log.getvalue()


@pytest.mark.parametrize("provider", ["../admin", "SIM", "\N{FULLWIDTH LATIN SMALL LETTER S}im"])
async def test_the_provider_in_a_models_name_is_looked_up_as_it_is(
    scene: Scene, provider: str
) -> None:
    """C14: nothing is folded, decoded or made into a path."""
    body = json.dumps({"model": f"{provider}/m", "messages": MESSAGES}).encode()

    assert await refuse(scene, post(V1, body)) == (404, "provider_not_found")
    assert f'provider="{provider}"' not in scene.gateway.metrics


@pytest.mark.parametrize("model", ["x\N{CYRILLIC SMALL LETTER A}", "../../etc", "%2e%2e", "a b"])
async def test_a_strange_model_is_the_providers_to_know(scene: Scene, model: str) -> None:
    """C14: it is sent in JSON and stands in no path and no metric."""
    heard = await scene.ask("plain", model=f"sim/{model}")

    assert heard.status == 200
    assert json.loads(scene.simulator.journal.last.body)["model"] == model
    assert model not in scene.gateway.metrics


@asynccontextmanager
async def longest_pause() -> AsyncIterator[list[float]]:
    """How long the event loop did not turn, at most."""
    loop = asyncio.get_running_loop()
    pauses = [0.0]
    last_at = loop.time()
    handle: asyncio.Handle | None = None

    def tick() -> None:
        nonlocal last_at, handle
        now = loop.time()
        pauses[0] = max(pauses[0], now - last_at)
        last_at = now
        handle = loop.call_soon(tick)

    tick()
    yield pauses
    assert handle is not None
    handle.cancel()


COSTLY = {
    "names": b'{"model":"sim/m","messages":[],'
    + b",".join(b'"%d":1' % i for i in range(100_000))
    + b"}",
    "colliding numbers": b'{"x":['
    + b",".join(b"%d" % (i * (2**61 - 1)) for i in range(50_000))
    + b"]}",
    "messages": b'{"model":"sim/m","messages":['
    + b",".join([b'{"role":"user"}'] * 400_000)
    + b"]}",
    "quotes": b'"' * 10_000_000,
    "backslashes": b'{"a":"' + b"\\\\" * 5_000_000 + b'"}',
    "spaces": b" " * 10_000_000,
    "openers": b"[" * 10_000_000,
    "digits": b'{"a":' + b"1" * 10_000_000 + b"}",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", COSTLY.values(), ids=COSTLY.keys())
async def test_a_body_made_to_be_slow_to_read_holds_nobody_up(
    scene: Scene, path: str, body: bytes
) -> None:
    """C15: others are served while it is read, and it is refused in the end."""
    async with longest_pause() as pauses, Caller(scene.gateway.port) as caller:
        await caller.send(post(path, body))
        heard = scene.note(await caller.read_answer())

    assert heard.status == 400
    assert pauses[0] < 1
    assert scene.upstream_requests == 0


FIELDS = ["api_base", "base_url", "api_key", "extra_headers", "extra_body", "custom_llm_provider"]


async def test_no_field_of_a_body_changes_where_a_request_goes(scene: Scene) -> None:
    """C16: other gateways have sent the operator's credential where a caller told them to."""
    fields = dict.fromkeys(FIELDS, "http://127.0.0.1:9/v1")

    v1 = await scene.ask("plain", V1, **fields)
    chat = await scene.ask("plain", CHAT, **fields)

    assert DONE in v1.body
    assert chat.is_whole
    assert scene.upstream_requests == 2
    assert {one.header("host") for one in scene.simulator.journal} == {
        scene.simulator.base_url.removeprefix("http://").removesuffix("/v1")
    }


@pytest.mark.parametrize("path", PATHS)
async def test_no_address_in_a_prompt_is_asked(scene: Scene, path: str) -> None:
    """H04: an image is the provider's to fetch; from here it would be somebody's inside."""
    async with RawProvider(answer_with(OK)) as inside:
        url = f"http://127.0.0.1:{inside.port}/secret.png"
        part = {"type": "image_url", "image_url": {"url": url}}
        text = {"type": "text", "text": f"Look at {url}"}
        heard = await scene.ask("plain", path, messages=[{"role": "user", "content": [text, part]}])

    assert (heard.status, inside.connections) == (200, 0)
    asked = json.loads(scene.simulator.journal.last.body)
    assert asked["messages"][0]["content"][1] == part
