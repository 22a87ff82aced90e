"""The admin listener for tests: an admin with a key, and what they ask.

The rule here: a caller says nothing that the test does not say, so that what is refused is refused
for one reason.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.config.settings import Settings
from gateway.console.admin import build_admin_app
from gateway.console.credentials import CredentialDesk
from gateway.console.keys import PROVIDERS
from gateway.console.readiness import Readiness
from gateway.console.usage import FetchUsage
from gateway.stores.opening import OpenKeys

ADMIN_KEY = "canary-key-of-an-admin-71c0ffee"
ADMIN_HASH = f"sha256:{hashlib.sha256(ADMIN_KEY.encode()).hexdigest()}"
ADMIN = {"keys": {"ops": ADMIN_HASH}}
AUTHORIZATION = {"Authorization": f"Bearer {ADMIN_KEY}"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """What the admin listener said."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        """Of an error."""
        return str(self.body["error"]["code"])

    @property
    def outcome(self) -> tuple[int, str]:
        """Status and code of an error."""
        return self.status, self.code


class AdminCaller:
    """Somebody who calls the admin listener."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client

    async def ask(self, method: str, path: str, **parts: Any) -> Answer:
        """One request, as the test says it."""
        async with self.client.request(method, path, **parts) as reply:
            text = await reply.text()
            is_json = reply.content_type == "application/json"
            body = json.loads(text) if is_json and text else text
            return Answer(reply.status, reply.headers, body)

    async def get(self, path: str) -> Answer:
        """A page, with the admin's key."""
        return await self.ask("GET", path, headers=AUTHORIZATION)

    async def post(self, path: str, body: object = None) -> Answer:
        """A change, with the admin's key."""
        written = b"" if body is None else json.dumps(body).encode()
        return await self.ask("POST", path, headers={**AUTHORIZATION, **JSON}, data=written)


StartAdmin = Callable[..., Awaitable[AdminCaller]]


@pytest.fixture
async def start_admin() -> AsyncIterator[StartAdmin]:
    """Starts admin listeners, each with an admin `ops` unless the settings say otherwise."""
    clients: list[TestClient[Any, Any]] = []

    async def start(
        settings: dict[str, Any] | None = None,
        opened: OpenKeys | None = None,
        fetch_usage: FetchUsage | None = None,
        credentials: CredentialDesk | None = None,
        providers: Collection[str] | None = None,
    ) -> AdminCaller:
        app = build_admin_app(
            Readiness(),
            render_metrics=lambda: b"gateway_things 1\n",
            settings=Settings.model_validate({"admin": ADMIN, **(settings or {})}),
            find_keys=lambda: opened,
            fetch_usage=fetch_usage,
            credentials=credentials,
        )
        if providers is not None:
            app[PROVIDERS] = providers
        client = TestClient(TestServer(app))
        await client.start_server()
        clients.append(client)
        return AdminCaller(client)

    yield start
    for client in clients:
        await client.close()
