"""Callers who are signed in at a running gateway, each with what they show it.

The rule here: whatever a caller shows or sets is a secret, and no log line may hold it.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession

from gateway.simulator import Simulator
from tests.plugins.gateway import Gateway
from tests.plugins.issuer import SECRET, Issuer

PROJECT = Issuer("https://abc.supabase.co/auth/v1")
COOKIE_NAME = "sb-abc-auth-token"
COOKIE_AUTH = {
    "kind": "supabase_cookie",
    "url": "https://abc.supabase.co",
    "secret": "${SUPABASE_JWT_SECRET}",
}
COOKIE_ENVIRON = {"SUPABASE_JWT_SECRET": SECRET}
YEAR_2100 = 4_102_444_800


def holders(*names: str) -> dict[str, Any]:
    """An entry of `auth` for holders of keys; each key is made of its holder's name."""
    digests = {name: hashlib.sha256(key_of(name).encode()).hexdigest() for name in names}
    return {
        "kind": "gateway_key",
        "keys": {name: f"sha256:{digest}" for name, digest in digests.items()},
    }


def key_of(name: str) -> str:
    """The key of a holder."""
    return f"gw_canary-key-of-{name}"


def cookie_of(user: str) -> str:
    """The session cookie of a user."""
    token = PROJECT.token("HS256", aud="authenticated", sub=user, exp=YEAR_2100)
    return f"{COOKIE_NAME}={quote(json.dumps({'access_token': token}))}"


class Person:
    """Somebody who calls a gateway."""

    def __init__(self, gateway: Gateway, headers: dict[str, str]) -> None:
        self._gateway = gateway
        self._headers = headers

    @classmethod
    def with_key(cls, gateway: Gateway, name: str) -> "Person":
        """The holder of a key."""
        gateway.secrets.append(key_of(name))
        return cls(gateway, {"Authorization": f"Bearer {key_of(name)}"})

    @classmethod
    def with_session(cls, gateway: Gateway, user: str) -> "Person":
        """Somebody who is signed in at the front end, on a page of the gateway's own origin."""
        cookie = cookie_of(user)
        gateway.secrets.append(cookie)
        return cls(gateway, {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"})

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any]:
        """One request; its status and its body, decoded where that is JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        async with (
            ClientSession() as session,
            session.request(
                method,
                self._gateway.url + path,
                data=content,
                headers={**self._headers, **headers},
            ) as reply,
        ):
            text = await reply.text()
            is_json = reply.content_type == "application/json"
            return reply.status, json.loads(text) if is_json else text

    async def chat(self, provider: str = "sim", model: str = "plain", custom: str = "") -> Any:
        """One question as the front end asks it: the status, and the sentence or the answer."""
        question = {
            "chatSettings": {"model": model, "temperature": 0.5},
            "messages": [{"role": "user", "content": "Hi"}],
            "customModelId": custom,
        }
        status, said = await self.ask("POST", f"/api/chat/{provider}", question)
        return status, said["message"] if isinstance(said, dict) else said

    async def set_key(self, value: str, provider: str = "sim") -> tuple[int, Any]:
        """Put a credential into their profile."""
        self._gateway.secrets.append(value)
        return await self.ask("PUT", f"/api/profile/keys/{provider}", {"key": value})


def shown(simulator: Simulator) -> list[str | None]:
    """What the provider was shown, request by request."""
    return [served.header("authorization") for served in simulator.journal]


def bearers(values: Iterable[str]) -> list[str]:
    """The same as it should be."""
    return [f"Bearer {value}" for value in values]
