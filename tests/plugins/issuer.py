"""A real issuer of tokens: keys made here, published over HTTP, and whatever can go wrong there.

The rule here: tokens are signed by PyJWT where it will sign them, and put together byte by byte
where it will not.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.core.clock import system_clock

AUDIENCE = "chat-gateway"
SECRET = "canary-secret-of-an-issuer-that-is-long-enough-3b1f"
ALGORITHMS = ("RS256", "ES256", "EdDSA")

Claims = dict[str, Any]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def private_key(algorithm: str, number: int = 0) -> PrivateKey:
    """A key for an algorithm; another number, another key."""
    return _make_key(algorithm, number)


@cache  # RSA keys take long to make
def _make_key(algorithm: str, number: int) -> PrivateKey:  # noqa: ARG001 - part of what is kept
    if algorithm.startswith(("RS", "PS")):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[algorithm]
    return ec.generate_private_key(curve)


def public_pem(algorithm: str, number: int = 0) -> bytes:
    """What everybody can know of a key."""
    return (
        private_key(algorithm, number)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def jwk_of(algorithm: str, kid: str | None, number: int = 0, **fields: Any) -> dict[str, Any]:
    """A key as an issuer publishes it."""
    public = private_key(algorithm, number).public_key()
    written = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    named = {} if kid is None else {"kid": kid}
    return {**written, **named, "use": "sig", **fields}


def part(value: Any) -> str:
    """One part of a token, from JSON or from bytes that are none."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def forge(header: Any, claims: Any, secret: bytes | None = None, signature: bytes = b"") -> str:
    """A token as no library would write it, signed with HMAC when there is a secret."""
    signed = f"{part(header)}.{part(claims)}"
    if secret is not None:
        signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{part(signature)}"


class Issuer:
    """One issuer that listens on a port of its own."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.keys = [jwk_of(algorithm, algorithm) for algorithm in ALGORITHMS]
        self.requests: list[str] = []  # paths
        self.answer: Answer | None = None  # in place of its keys
        self.discovered: dict[str, Any] = {}  # over what discovery says
        self._runner: web.AppRunner | None = None

    @property
    def keys_url(self) -> str:
        """Where its keys are."""
        return f"{self.url}/keys"

    @property
    def key_requests(self) -> int:
        """How often it was asked for its keys."""
        return self.requests.count("/keys")

    def claims(self, **changed: Any) -> Claims:
        """What it says of somebody; a claim that is None is left out."""
        now = int(system_clock())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 600}
        return {name: value for name, value in {**usual, **changed}.items() if value is not None}

    def token(
        self,
        algorithm: str = "RS256",
        *,
        kid: str | None = None,
        number: int = 0,
        headers: dict[str, Any] | None = None,
        **changed: Any,
    ) -> str:
        """A token that it signed; claims as given."""
        named = {"kid": kid or algorithm, **(headers or {})}
        key = SECRET if algorithm.startswith("HS") else private_key(algorithm, number)
        return jwt.encode(self.claims(**changed), key, algorithm, headers=named)

    def spec(self, **fields: Any) -> dict[str, Any]:
        """Its entry in `auth`."""
        return {
            "kind": "jwt",
            "issuer": self.url,
            "audience": AUDIENCE,
            "algorithms": list(ALGORITHMS),
            "jwks_url": self.keys_url,
            "allow_private": True,
            **fields,
        }

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/keys", self._publish)
        app.router.add_get("/.well-known/openid-configuration", self._describe)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Listen no more; whoever comes now is refused by the operating system."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _publish(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        if self.answer is not None:
            return await self.answer(request)
        return web.json_response({"keys": self.keys})

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        said = {"issuer": self.url, "jwks_uri": self.keys_url, **self.discovered}
        return web.json_response(said)


async def never(_: web.Request) -> web.StreamResponse:
    """An answer that does not come."""
    await asyncio.Event().wait()
    raise AssertionError


def saying(body: str | bytes, status: int = 200, **headers: str) -> Answer:
    """An answer of one's own."""

    async def answer(_: web.Request) -> web.StreamResponse:
        content = body if isinstance(body, bytes) else body.encode()
        return web.Response(body=content, status=status, headers=headers)

    return answer


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer."""
    running = Issuer()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def other_issuer() -> AsyncIterator[Issuer]:
    """Another one, with the same ids for keys of its own."""
    running = Issuer()
    running.keys = [jwk_of(algorithm, algorithm, number=9) for algorithm in ALGORITHMS]
    await running.start()
    yield running
    await running.stop()
