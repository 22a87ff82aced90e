"""Tokens that are right are let in, and nothing that only looks like one is."""

import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.auth.key_set import KeySet, SharedSecret
from gateway.auth.method import Refusal
from gateway.auth.verifier import MAX_TOKEN_CHARS, Verifier
from gateway.config.token_auth import JwtAuth
from gateway.core.identity import Principal
from gateway.core.tasks import Tasks
from tests.plugins.issuer import (
    ALGORITHMS,
    AUDIENCE,
    SECRET,
    Issuer,
    forge,
    jwk_of,
    part,
    private_key,
    public_pem,
)

NOW = 1_800_000_000
ANN = Principal("ann", "jwt")
FAMILY = ("RS256", "RS384", "PS256", "ES256", "ES384", "ES512", "EdDSA")


# It does not listen: its keys are handed over by the test.
ISSUER = Issuer("https://login.example.org")
ISSUER.keys = [jwk_of(algorithm, algorithm) for algorithm in FAMILY]


def verifier_of(
    keys: list[dict[str, Any]] | None = None,
    algorithms: tuple[str, ...] = FAMILY,
    **fields: Any,
) -> Verifier:
    """What holds tokens against the issuer's entry."""

    async def fetch() -> list[dict[str, Any]]:
        return ISSUER.keys if keys is None else keys

    spec = JwtAuth.model_validate(
        {"kind": "jwt", "issuer": ISSUER.url, "audience": AUDIENCE, "algorithms": algorithms}
        | fields
    )
    if spec.secret is not None:
        return Verifier(spec, SharedSecret(SecretStr(SECRET)), lambda: NOW)
    return Verifier(spec, KeySet(ISSUER.url, fetch, Tasks(print)), lambda: NOW)


def hmac_verifier() -> Verifier:
    """One for an issuer with a shared secret."""
    return verifier_of(algorithms=("HS256",), secret="${ANY}")


def token(algorithm: str = "RS256", **parts: Any) -> str:
    """A token that counts at the time of these tests."""
    return ISSUER.token(algorithm, **{"exp": NOW + 60, "iat": NOW, **parts})


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of such a token."""
    return ISSUER.claims(**{"exp": NOW + 60, "iat": NOW, **changed})


async def sentence_of(given: str, verifier: Verifier | None = None) -> str:
    """What is said to whoever shows it; it is never what was shown."""
    found = await (verifier or verifier_of()).verify(given)
    assert isinstance(found, Refusal), found
    for piece in given.split("."):
        assert len(piece) < 8 or piece not in f"{found.sentence} {found.detail}"
    return found.sentence


@pytest.mark.parametrize("algorithm", FAMILY)
async def test_a_token_is_known_by_its_signature(algorithm: str) -> None:
    """RSA, both paddings of it, the curves that issuers use, and Ed25519."""
    assert await verifier_of().verify(token(algorithm)) == ANN


async def test_a_shared_secret_does_as_well() -> None:
    """Self-hosted issuers have one."""
    assert await hmac_verifier().verify(token("HS256")) == ANN


async def test_an_audience_may_be_one_of_several() -> None:
    """RFC 7519, 4.1.3."""
    assert await verifier_of().verify(token(aud=["else", AUDIENCE])) == ANN


async def test_one_key_needs_no_id() -> None:
    """An issuer with a single key may leave the id out; one with several may not."""
    unnamed = jwt.encode(claims(), private_key("RS256"), "RS256")

    alone = [jwk_of("RS256", "a"), jwk_of("ES256", "b")]
    assert await verifier_of(alone).verify(unnamed) == ANN  # the only one for RS256
    both = [jwk_of("RS256", "a"), jwk_of("RS256", "b", 1)]
    assert "key" in await sentence_of(unnamed, verifier_of(both))


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE", "", "HS256", "HS512", "RS1"])
async def test_a_token_does_not_choose_how_it_is_verified(alg: str) -> None:
    """E08: without a signature, or with one that the public key can make."""
    for secret in (None, b"", public_pem("RS256"), public_pem("RS256").strip()):
        made = forge({"alg": alg, "kid": "RS256"}, claims(), secret)

        assert "algorithm" in await sentence_of(made)


@pytest.mark.parametrize("alg", ["none", "RS256", "ES256", "EdDSA", "HS384"])
async def test_with_a_secret_only_its_own_algorithm_counts(alg: str) -> None:
    """E08: the other way round."""
    made = forge({"alg": alg}, claims(), SECRET.encode())

    assert "algorithm" in await sentence_of(made, hmac_verifier())


async def test_a_published_symmetric_key_is_no_key() -> None:
    """E08: whoever could have it published could sign; so could everybody else."""
    oct_key = {"kty": "oct", "kid": "o", "k": part(SECRET.encode()), "alg": "RS256"}
    verifier = verifier_of([oct_key, *ISSUER.keys])
    made = forge({"alg": "RS256", "kid": "o"}, claims(), SECRET.encode())

    assert "does not publish" in await sentence_of(made, verifier)


@pytest.mark.parametrize(
    ("algorithm", "kid"), [("RS256", "ES256"), ("ES256", "RS256"), ("ES384", "ES256")]
)
async def test_a_key_is_for_its_own_algorithm(algorithm: str, kid: str) -> None:
    """E08: a key of one sort is not read as one of another."""
    assert await sentence_of(token(algorithm, kid=kid))


async def test_a_key_says_what_it_is_for() -> None:
    """`alg`, `use` and `key_ops` of a published key (RFC 7517, 4.2 to 4.4)."""
    for fields in ({"alg": "RS512"}, {"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": 7}):
        keys = [jwk_of("RS256", "RS256", **fields), jwk_of("EdDSA", "other")]

        assert "does not publish" in await sentence_of(token(), verifier_of(keys))


@pytest.mark.parametrize(
    "fields", [{"n": None}, {"n": 7}, {"n": "!"}, {"e": "AA"}, {"n": "AQAB"}], ids=str
)
async def test_a_broken_key_is_no_key(fields: dict[str, Any]) -> None:
    """Of 20 keys one may be broken, and the gateway serves the others."""
    keys = [jwk_of("RS256", "RS256", **fields), jwk_of("ES256", "ES256")]
    verifier = verifier_of(keys)

    assert await sentence_of(token(), verifier)
    assert await verifier.verify(token("ES256")) == ANN


async def test_a_short_rsa_key_is_refused() -> None:
    """512 bits are found out in a day; issuers have 2048."""
    n = part(b"\xff" + bytes(62) + b"\x01")
    verifier = verifier_of([{**jwk_of("RS256", "RS256"), "n": n}])

    assert await sentence_of(token(), verifier)


async def test_a_private_key_that_is_published_is_read_as_a_public_one() -> None:
    """The issuer's mistake must not become a crash of ours."""
    whole = jwt.get_algorithm_by_name("RS256").to_jwk(private_key("RS256"), as_dict=True)

    published = {**whole, "kid": "RS256", "key_ops": None}
    assert await verifier_of([published]).verify(token()) == ANN


@pytest.mark.parametrize(
    "kid",
    [
        "../../dev/null",
        "/etc/passwd",
        "https://evil.example/keys",
        "' OR 1=1 --",
        "k" * 5000,
        "\x00",
        "RS256\x00",
        "",
    ],
    ids=lambda kid: kid[:20],
)
async def test_an_id_is_compared_and_nothing_else(kid: str) -> None:
    """E09: no path, no address, no query is made of it."""
    made = forge({"alg": "RS256", "kid": kid}, claims(), b"x")

    assert "does not publish" in await sentence_of(made)


@pytest.mark.parametrize("kid", [7, None, ["RS256"], {"a": 1}, True], ids=str)
async def test_an_id_is_text(kid: object) -> None:
    """E09: anything else is no token, and no crash."""
    made = forge({"alg": "RS256", "kid": kid}, claims(), b"x")

    assert await sentence_of(made)


async def test_keys_in_a_token_are_not_looked_at() -> None:
    """E09: whoever signs with a key of their own may well put it in, or say where it is."""
    own = {
        "jku": "http://127.0.0.1:9/keys",
        "x5u": "http://127.0.0.1:9/chain",
        "jwk": jwk_of("RS256", "RS256", number=5),
        "x5c": ["MIIB"],
    }
    signed = token(number=5, kid="RS256", headers=own)

    assert "signature" in await sentence_of(signed)
    assert await verifier_of().verify(token(headers=own)) == ANN  # and they do no harm


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None, "b64", [7], {}], ids=str)
async def test_extensions_are_refused(crit: object) -> None:
    """What must be understood and is not is refused (RFC 7515, 4.1.11; CVE-2026-32597)."""
    made = forge({"alg": "RS256", "kid": "RS256", "crit": crit, "b64": False}, claims(), b"x")

    assert "extension" in await sentence_of(made)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"aud": "other"}, "audience"),
        ({"aud": ["other"]}, "audience"),
        ({"aud": []}, "lacks"),
        ({"aud": {"a": AUDIENCE}}, "audience"),
        ({"aud": AUDIENCE.upper()}, "audience"),
        ({"aud": AUDIENCE[:-1]}, "audience"),
        ({"aud": None}, "lacks"),
        ({"exp": None}, "lacks"),
        ({"exp": NOW - 31}, "expired"),
        ({"nbf": NOW + 31}, "not valid yet"),
        ({"sub": None}, "lacks"),
        ({"jti": ""}, ""),
    ],
    ids=str,
)
async def test_claims_are_all_required(changed: dict[str, Any], says: str) -> None:
    """E10: PyJWT by itself takes tokens without an end."""
    made = token(**changed)
    if not says:
        assert await verifier_of().verify(made) == ANN
        return

    assert says in await sentence_of(made)


async def test_a_claim_that_is_not_used_may_be_a_number() -> None:
    """An issuer that numbers its users may name them by another claim."""
    made = token(sub=42, jti=7, email="ann@example.org")

    found = await verifier_of(claims={"principal": "email"}).verify(made)

    assert found == Principal("ann@example.org", "jwt")
    assert "lacks `sub`" in await sentence_of(made)  # where that one is to be the name


@pytest.mark.parametrize(
    "iss", [None, "", "https://login.example.org/", "https://login.example", 7, ["x"]], ids=str
)
async def test_another_issuer_is_another_entry_s(iss: object) -> None:
    """E10: compared whole; a beginning of it was enough in PyJWT 2.10.0 (CVE-2024-53861)."""
    made = jwt.encode(claims(iss=None), private_key("RS256"), "RS256", headers={"kid": "RS256"})
    if iss is not None:
        made = forge({"alg": "RS256", "kid": "RS256"}, claims(iss=iss), b"x")

    found = await verifier_of().verify(made)

    assert isinstance(found, Refusal)
    assert found.is_vague


async def test_a_changed_token_is_refused() -> None:
    """Any bit of it."""
    head, _, signature = token().split(".")
    changed = part(json.dumps(claims(sub="bob")).encode())

    assert "signature" in await sentence_of(f"{head}.{changed}.{signature}")
    assert await sentence_of(token()[:-10])
    assert await sentence_of(f"{head}..{signature}")


DEEP = b'{"alg": "RS256", "x": ' + b"[" * 3000 + b"]" * 3000 + b"}"


@pytest.mark.parametrize(
    "made",
    [
        "eyJ",
        "..",
        "a.b.c",
        "eyJhbGciOiJSUzI1NiJ9",
        "eyJhbGciOiJSUzI1NiJ9.e30.",
        "eyJ\u00e9.a.b",
        "eyJ\udcff.a.b",
        forge(b"null", b"null"),
        forge(b"[]", b"[]"),
        forge(b"\xff", b"\xff"),
        forge(b"{", b"{"),
        forge({}, {}),
        forge({"alg": ["RS256"]}, {}),
        forge({"alg": "RS256"}, b"[" * 4000),
        forge(DEEP, {"iss": ISSUER.url}),
        "eyJ" + "a" * MAX_TOKEN_CHARS,
        "eyJ" + "." * 1000,
    ],
    ids=lambda made: ascii(made[:24]),
)
async def test_what_is_no_token_is_refused(made: str) -> None:
    """E10: with a 401, never a crash."""
    assert await sentence_of(made)


async def test_a_payload_of_brackets_is_refused_after_its_signature() -> None:
    """A RecursionError is no ValueError, and would be a 500."""
    opening = json.dumps(claims())[:-1].encode()
    deep = opening + b', "x": ' + b"[" * 2500 + b"]" * 2500 + b"}"

    assert await sentence_of(forge({"alg": "HS256"}, deep, SECRET.encode()), hmac_verifier())


@given(st.text(max_size=60), st.text(max_size=60), st.binary(max_size=60))
async def test_no_text_is_a_crash(head: str, body: str, signature: bytes) -> None:
    """Whatever it is, it is refused."""
    verifier = hmac_verifier()
    for made in (
        f"{head}.{body}.{signature!r}",
        forge(head.encode("utf-8", "surrogatepass"), body.encode("utf-8", "surrogatepass")),
        forge({"alg": "HS256", "kid": head}, {"iss": ISSUER.url, "aud": body}, SECRET.encode()),
    ):
        assert isinstance(await verifier.verify(made), Refusal)


async def test_what_was_verified_is_remembered_and_what_was_refused_is_not() -> None:
    """E05: by a digest of all of it."""
    verifier = verifier_of()
    await verifier.verify(token(), b"digest")
    await verifier.verify(token(exp=NOW - 100), b"other")

    assert verifier.verified.find(b"digest") == ANN
    assert verifier.verified.find(b"other") is None


def test_there_is_an_algorithm_of_every_sort() -> None:
    """The issuer of the other tests signs with three."""
    assert set(ALGORITHMS) <= set(FAMILY)
