"""Group E: tokens that others issue, on a real gateway with a real issuer.

The rule here: whatever was shown is in no answer, no log line and no metric, and nobody who was not
recognised has reached a provider.
"""

import asyncio
import json
from typing import Any

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.anybody import ENTRY
from tests.plugins.issuer import SECRET, Answer, Issuer, forge, jwk_of, public_pem, saying
from tests.plugins.scene import PATHS, error_of, header_of
from tests.plugins.showing import open_with, refusal, show


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_is_served(issuer: Issuer, open_scene: OpenScene, algorithm: str) -> None:
    """Its keys are fetched once, and the log says who it was."""
    scene = await open_with(open_scene, issuer.spec(jwks_url=None))

    for _ in range(3):
        assert (await show(scene, issuer.token(algorithm))).status == 200

    assert (await scene.settled(3))["principal"] == "ann"
    assert issuer.key_requests == 1


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "HS512"])
async def test_a_token_does_not_choose_its_algorithm(
    issuer: Issuer, open_scene: OpenScene, alg: str
) -> None:
    """E08: unsigned, or signed with what everybody can fetch."""
    scene = await open_with(open_scene, issuer.spec())

    for secret in (None, public_pem("RS256"), json.dumps(jwk_of("RS256", "RS256")).encode()):
        made = forge({"alg": alg, "kid": "RS256"}, issuer.claims(), secret)
        assert "algorithm" in await refusal(scene, made)
    assert issuer.requests == []


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "k" * 3000, "http://127.0.0.1/k"])
async def test_an_id_is_only_compared(issuer: Issuer, open_scene: OpenScene, kid: str) -> None:
    """E09: no file, no address, no query."""
    scene = await open_with(open_scene, issuer.spec())
    made = forge({"alg": "RS256", "kid": kid}, issuer.claims(), b"x")

    assert "does not publish" in await refusal(scene, made)


async def test_no_address_in_a_token_is_asked(
    issuer: Issuer, other_issuer: Issuer, open_scene: OpenScene
) -> None:
    """E09: `jku`, `x5u` and `jwk` would let everybody bring their own keys."""
    scene = await open_with(open_scene, issuer.spec())
    own = {
        "jku": other_issuer.keys_url,
        "x5u": other_issuer.keys_url,
        "jwk": other_issuer.keys[0],
    }
    made = issuer.token("RS256", number=9, headers=own)

    assert "signature" in await refusal(scene, made)
    assert other_issuer.requests == []


async def test_a_flood_of_strange_tokens_does_not_reach_the_issuer(
    issuer: Issuer, open_scene: OpenScene
) -> None:
    """E09: at most one fetch in a minute, and others are served meanwhile."""
    scene = await open_with(open_scene, issuer.spec())
    strange = [issuer.token("RS256", kid=f"strange-{number}") for number in range(100)]

    heard = await asyncio.gather(*(show(scene, token) for token in strange))

    assert {error_of(one) for one in heard} == {(401, "unauthenticated")}
    assert (await show(scene, issuer.token())).status == 200
    assert issuer.key_requests == 1


def with_secret(issuer: Issuer, secret: str, **fields: Any) -> dict[str, Any]:
    """The entry of an issuer that signs with a secret."""
    return issuer.spec(algorithms=["HS256"], jwks_url=None, secret=secret, **fields)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"exp": None}, "lacks"),
        ({"aud": None}, "lacks"),
        ({"aud": "another"}, "audience"),
        ({"iss": None}, "issuer"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"exp": 1}, "expired"),
        ({"exp": 1e308}, "`exp`"),
        ({"exp": "9999999999"}, "`exp`"),
        ({"nbf": 9_999_999_999}, "`nbf`"),
        ({"iat": 9_999_999_999}, "`iat`"),
        ({"sub": None}, "`sub`"),
        ({"sub": "a\nb"}, "`sub`"),
    ],
    ids=str,
)
async def test_claims_are_held_against_the_entry(
    issuer: Issuer, open_scene: OpenScene, issuer_secret: str, changed: dict[str, Any], says: str
) -> None:
    """E10: the sentence says what was wrong, and repeats nothing."""
    scene = await open_with(open_scene, with_secret(issuer, issuer_secret))
    made = forge({"alg": "HS256"}, issuer.claims(**changed), SECRET.encode())

    assert says in await refusal(scene, made)


@pytest.mark.parametrize("order", [1, -1])
async def test_of_two_entries_of_an_issuer_the_one_that_knows_better_speaks(
    issuer: Issuer, open_scene: OpenScene, issuer_secret: str, order: int
) -> None:
    """E10: while it changes from a secret to keys, that the other one is used says nothing."""
    entries = [issuer.spec(), with_secret(issuer, issuer_secret)]
    scene = await open_with(open_scene, *entries[::order])

    for token in (
        issuer.token("RS256", exp=1),
        forge({"alg": "HS256"}, issuer.claims(exp=1), SECRET.encode()),
    ):
        assert "expired" in await refusal(scene, token)


async def test_a_payload_without_an_end_is_a_401(
    issuer: Issuer, open_scene: OpenScene, issuer_secret: str
) -> None:
    """E10: deep JSON is a RecursionError, which is no ValueError and would be a 500."""
    scene = await open_with(open_scene, with_secret(issuer, issuer_secret))
    opening = json.dumps(issuer.claims())[:-1].encode()
    deep = opening + b', "x": ' + b"[" * 2500 + b"]" * 2500 + b"}"

    assert await refusal(scene, forge({"alg": "HS256"}, deep, SECRET.encode()))
    assert await refusal(scene, forge({"alg": "HS256"}, b"[" * 4000, SECRET.encode()))


async def test_two_issuers_with_the_same_ids_are_told_apart(
    issuer: Issuer, other_issuer: Issuer, open_scene: OpenScene
) -> None:
    """E08: a token of the one is never held against the keys of the other."""
    other = other_issuer.spec(prefix="partner:", claims={"tenant": "org"})
    scene = await open_with(open_scene, issuer.spec(), other)

    assert (await show(scene, issuer.token())).status == 200
    assert (await show(scene, other_issuer.token(number=9, org="acme"))).status == 200
    assert "signature" in await refusal(scene, issuer.token(number=9))
    assert "signature" in await refusal(scene, other_issuer.token(org="acme"))
    assert "`org`" in await refusal(scene, other_issuer.token(number=9))
    lines = await scene.gateway.log.wait_for_settled(2)
    assert [line["principal"] for line in lines[:2]] == ["ann", "partner:ann"]


@pytest.mark.parametrize(
    "answer",
    [
        saying("<html>down for maintenance</html>"),
        saying("", 503),
        saying("", 302, Location="http://127.0.0.1:1/keys"),
        saying('{"keys": []}'),
        saying(" " * 300_000),
    ],
    ids=["garbage", "503", "redirect", "empty", "huge"],
)
async def test_an_issuer_that_cannot_be_asked_is_a_503(
    issuer: Issuer, open_scene: OpenScene, answer: Answer
) -> None:
    """E13: a 401 would send its caller to look for a mistake of their own."""
    scene = await open_with(open_scene, issuer.spec(), ENTRY)
    issuer.answer = answer
    token = issuer.token()

    for path in PATHS:
        heard = await show(scene, token, path=path)
        assert error_of(heard) == (503, "auth_unavailable")
        assert 5 <= int(header_of(heard, "retry-after") or 0) <= 9
        assert header_of(heard, "x-should-retry") == "false"
    assert issuer.key_requests == 1
    assert scene.upstream_requests == 0
    assert "auth.keys_unavailable" in scene.gateway.log.getvalue()


async def test_who_was_known_stays_known_while_the_issuer_is_down(
    issuer: Issuer, open_scene: OpenScene
) -> None:
    """E13: by keys that were fetched; and those with a key of the gateway's never notice."""
    scene = await open_with(open_scene, issuer.spec())
    assert (await show(scene, issuer.token())).status == 200
    await issuer.stop()

    assert (await show(scene, issuer.token())).status == 200
    assert (await show(scene, issuer.token(sub="bob"))).status == 200
    assert (await scene.ask()).status == 200
    assert await refusal(scene, issuer.token(exp=1))


async def test_a_wrong_token_does_not_become_nobody(issuer: Issuer, open_scene: OpenScene) -> None:
    """E01: its owner has to hear of it; who shows nothing is let in as the list says."""
    scene = await open_with(open_scene, issuer.spec(), ENTRY)

    assert "expired" in await refusal(scene, issuer.token(exp=1))
    assert "not a JSON web token" in await refusal(scene, "eyJhbGciOi")
    assert (await show(scene, None)).status == 200
    assert (await scene.settled(5))["principal"] == "anonymous"


async def test_tokens_with_the_same_beginning_are_different_people(
    issuer: Issuer, open_scene: OpenScene
) -> None:
    """E05: a cache by the first 20 characters let everybody in as the first (CVE-2026-35030)."""
    scene = await open_with(open_scene, issuer.spec())
    names = ("ann", "bob", "ann")

    for name in names:
        assert (await show(scene, issuer.token("EdDSA", sub=name))).status == 200

    lines = await scene.gateway.log.wait_for_settled(3)
    assert [line["principal"] for line in lines[:3]] == list(names)
