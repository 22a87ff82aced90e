"""Group E: stored keys, right ones and wrong ones, on a real gateway.

The rule here: who is not let in has reached no provider, and hears nothing about anybody's key.
"""

import asyncio
import json
from collections import Counter

import pytest

from gateway.auth.wrong_keys import WRONG_KEYS_PER_MINUTE
from gateway.core import gateway_key
from gateway.core.gateway_key import CHECKSUM_CHARS, PREFIX, make_key
from gateway.stores.keys import StoredKey
from tests.faults.conftest import OpenScene
from tests.plugins.admin_scene import ask_admin, ask_with, bearer, open_stored, opened_of
from tests.plugins.admin_scene import make_key as make_stored_key
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import PATHS, V1, Scene, body_of, error_of, header_of, raw_request
from tests.plugins.stepped_provider import DONE, END, SteppedProvider, event_of
from tests.plugins.stored_keys import new_key, new_secret

FINISH = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


def without_id(heard: Heard) -> tuple[str, str]:
    """Head and body of an answer without what is different in each: the id and the time."""
    request_id = header_of(heard, "x-request-id") or ""
    head = [line for line in heard.head.split("\r\n") if not line.startswith("date:")]
    return "\r\n".join(head).replace(request_id, ""), heard.body.decode().replace(request_id, "")


async def refused(scene: Scene, *headers: str) -> set[tuple[str, str]]:
    """What callers with these headers hear on each path, where it is a 401."""
    asked = scene.upstream_requests
    told = set()
    for path in PATHS:
        heard = await ask_with(scene, *headers, path=path)
        assert error_of(heard) == (401, "unauthenticated"), heard.raw
        told.add(without_id(heard))
    assert scene.upstream_requests == asked
    return told


async def test_why_a_key_is_refused_is_not_told(open_scene: OpenScene) -> None:
    """E01: unknown, malformed, ended, expired or none: the same bytes; the log knows more."""
    scene = await open_stored(open_scene)
    ended = await make_stored_key(scene, "bob")
    expired, stored = new_key(opened_of(scene).peppers, "carol", expires_at=1)
    await opened_of(scene).store.save_key(stored)
    await ask_admin(scene, "POST", "/keys/bob/disable")

    told = [
        await refused(scene, *headers)
        for headers in (
            (),
            ("Authorization: Basic Zm9vOmJhcg==",),
            (bearer("gw_short"),),
            (bearer(make_key()),),
            (bearer(ended),),
            (bearer(expired),),
            (f"x-api-key: {expired}",),
        )
    ]

    assert all(one == told[0] for one in told)
    reasons = {
        (line["key"], line["reason"])
        for line in scene.gateway.log.lines
        if line["event"] == "key.refused"
    }
    assert reasons == {("bob", "disabled"), ("carol", "expired")}


@pytest.mark.parametrize(
    "key",
    [
        "' OR 1=1 --",
        "%",
        "*",
        "{}",
        "gw_%",
        "_" * 52,
        "gw_" + "%" * 49,
        "gw_" + "'" * 49,
        "$1",
        "\\",
    ],
)
async def test_a_key_is_looked_up_by_its_digest_alone(open_scene: OpenScene, key: str) -> None:
    """E02: no statement, pattern or name is made of it (CVE-2026-42208, CVE-2026-25591)."""
    scene = await open_stored(open_scene)
    await make_stored_key(scene, "bob")

    assert await refused(scene, bearer(key)) == await refused(scene, f"x-api-key: {key}")


@pytest.mark.parametrize(
    "headers",
    [
        ("Authorization: Bearer \udcff\udcfe",),
        ("Authorization: Bearer gw_\udcc3\udca9" + "a" * 47,),
        ("Authorization: Bearer " + "k" * 8000,),
        ("Authorization: Bearer",),
        ("Authorization: Bearer ",),
        ("Authorization:",),
        ("Authorization: \t",),
        ("x-api-key:",),
        ("Authorization: Bearer Bearer gw_x",),
        ("Authorization: Bearer\tgw_x",),
        ("Authorization: BEARER gw_x",),
    ],
    ids=lambda headers: ascii(headers[0])[:40],
)
async def test_what_is_no_key_is_a_401(open_scene: OpenScene, headers: tuple[str, ...]) -> None:
    """E03: bytes that are no text, nothing, too much: never a 500."""
    scene = await open_stored(open_scene)

    assert await refused(scene, *headers)


@pytest.mark.parametrize(
    "headers",
    [
        ("Authorization: Bearer a", "Authorization: Bearer a"),
        ("Authorization: Bearer a", "x-api-key: b"),
        ("x-api-key: a", "x-api-key: a"),
    ],
    ids=str,
)
async def test_two_keys_are_one_too_many(open_scene: OpenScene, headers: tuple[str, ...]) -> None:
    """E03: which of them counts is anybody's guess."""
    scene = await open_stored(open_scene)

    for path in PATHS:
        assert error_of(await ask_with(scene, *headers, path=path)) == (400, "ambiguous_auth")
    assert scene.upstream_requests == 0


def twins() -> tuple[str, str]:
    """Two keys that differ in their last characters alone."""
    secret = make_key()[len(PREFIX) : -CHECKSUM_CHARS]
    secrets = (f"{secret[:-1]}0", f"{secret[:-1]}1")
    first, second = (f"{PREFIX}{one}{gateway_key._checksum(one)}" for one in secrets)  # noqa: SLF001 - to make one
    return first, second


async def test_keys_with_the_same_beginning_are_different_people(open_scene: OpenScene) -> None:
    """E05: one is not taken for the other, also when it has just been seen (CVE-2026-35030)."""
    scene = await open_stored(open_scene)
    opened = opened_of(scene)
    keys = dict(zip(("bob", "carol"), twins(), strict=True))
    for name, key in keys.items():
        secret = new_secret(opened.peppers, key, 1)
        await opened.store.save_key(StoredKey(name=name, created_at=1, secrets=(secret,)))
        scene.gateway.secrets.append(key)

    for name in ("bob", "carol", "bob"):
        assert (await ask_with(scene, bearer(keys[name]))).status == 200

    lines = await scene.gateway.log.wait_for_settled(3)
    assert [line["principal"] for line in lines[:3]] == ["bob", "carol", "bob"]


@pytest.mark.usefixtures("keys_are_asked_for_anew")
async def test_a_stream_goes_on_when_its_key_ends(open_scene: OpenScene) -> None:
    """E07: what has begun is finished and settled; the key opens nothing new."""
    async with SteppedProvider() as provider:
        scene = await open_stored(open_scene, base_url=provider.base_url, recovers=False)
        key = await make_stored_key(scene, "bob")
        body = json.dumps(body_of(V1)).encode()
        length = f"Content-Length: {len(body)}"
        asked = raw_request(
            f"POST {V1} HTTP/1.1",
            *(bearer(key), length, "Connection: close"),
            body=body,
            authorized=False,
        )
        async with Caller(scene.gateway.port) as caller:
            await caller.send(asked)
            await provider.open_stream()
            await provider.send(event_of(content="Hel"))
            begun = await caller.read_until(b"Hel")

            assert (await ask_admin(scene, "POST", "/keys/bob/disable")).status == 200
            assert (await ask_with(scene, bearer(key))).status == 401
            for event in (event_of(content="lo"), FINISH, DONE):
                await provider.send(event)
            await provider.send_raw(END)
            heard = scene.note(Heard(begun + (await caller.read_to_end()).raw))

    assert heard.is_whole
    assert b'"lo"' in heard.body
    line = next(line for line in scene.gateway.log.settled if line["principal"] == "bob")
    assert (line["outcome"], line["status"]) == ("finished", 200)


async def test_a_flood_of_wrong_keys_does_not_reach_the_store(open_scene: OpenScene) -> None:
    """E11: 429 before it is asked; who was known goes on, and so do others."""
    scene = await open_stored(open_scene)
    key = await make_stored_key(scene, "bob")
    assert (await ask_with(scene, bearer(key))).status == 200
    wrong = [make_key() for _ in range(WRONG_KEYS_PER_MINUTE + 20)]

    heard = await asyncio.gather(*(ask_with(scene, bearer(one)) for one in wrong))

    told = Counter(error_of(one) for one in heard)
    assert told[401, "unauthenticated"] >= WRONG_KEYS_PER_MINUTE
    assert told[429, "too_many_wrong_keys"] >= 1  # one more is let in each second that this takes
    assert told.total() == len(wrong)
    last = next(one for one in heard if one.status == 429)
    assert int(header_of(last, "retry-after") or 0) >= 1
    assert (await ask_with(scene, bearer(key))).status == 200


LLAMA = {"id": "plain", "alias": "llama"}  # the simulator tells nothing then


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_is_for_what_it_is_for(open_scene: OpenScene, path: str) -> None:
    """E12: asked after the alias; the provider hears of nothing else."""
    scene = await open_stored(open_scene, models=[LLAMA, {"id": "m"}])
    keys = {
        "of-another": await make_stored_key(scene, "bob", providers=["other"]),
        "of-llama": await make_stored_key(scene, "carol", models=["sim/plain"]),
        "of-its-alias": await make_stored_key(scene, "dave", models=["sim/llama"]),
        "of-a-network": await make_stored_key(scene, "erin", networks=["10.0.0.0/8"]),
    }

    async def ask(who: str, model: str) -> Heard:
        named = {"model": f"sim/{model}"} if path == V1 else {"chatSettings": {"model": model}}
        return await ask_with(scene, bearer(keys[who]), path=path, **named)

    refusals = [
        ("of-another", "llama", "provider_not_allowed"),
        ("of-llama", "m", "model_not_allowed"),
        ("of-its-alias", "m", "model_not_allowed"),
        ("of-its-alias", "LLAMA", "model_not_allowed"),
        ("of-its-alias", "llama ", "model_not_allowed"),
        ("of-a-network", "llama", "address_not_allowed"),
    ]
    for who, model, code in refusals:
        assert error_of(await ask(who, model)) == (403, code)
    assert scene.upstream_requests == 0
    for who in ("of-llama", "of-its-alias"):
        for model in ("llama", "plain"):
            assert (await ask(who, model)).status == 200


async def test_what_a_key_is_not_for_is_not_there(open_scene: OpenScene) -> None:
    """E16: the same bytes as for what does not exist; another's tenant cannot be counted out."""
    scene = await open_stored(open_scene, models=[LLAMA, {"id": "m"}])
    key = await make_stored_key(scene, "bob", models=["sim/llama"])

    async def read(path: str) -> Heard:
        return await ask_with(scene, bearer(key), path=path, verb="GET")

    for there, nowhere in (
        ("/v1/models/sim/m", "/v1/models/sim/x"),
        ("/v1/models/other/m", "/v1/models/nobody/m"),
        ("/api/providers/other/models", "/api/providers/nobody/models"),
    ):
        heard = await read(there)
        assert heard.status == 404
        assert without_id(heard) == without_id(await read(nowhere))
    listed = (await read("/v1/models")).json["data"]
    assert [model["id"] for model in listed] == ["sim/plain"]
    assert [entry["name"] for entry in (await read("/api/providers")).json["providers"]] == ["sim"]
    flags = (await read("/api/keys")).json["isUsingEnvKeyMap"]
    assert flags["sim"] is True
    assert "other" not in flags
