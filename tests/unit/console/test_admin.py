"""Health, readiness and metrics, each for its own reader."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.console.admin import build_admin_app
from gateway.console.credentials import CredentialDesk
from gateway.console.readiness import Readiness
from gateway.core.credential import CredentialStanding, CredentialState

STANDINGS = (
    CredentialStanding("groq", "GROQ_A", CredentialState.OK, 1),
    CredentialStanding("groq", "GROQ_B", CredentialState.SET_ASIDE, 0),
)

Client = TestClient[object, object]


@pytest.fixture
def readiness() -> Readiness:
    """Of a gateway that has just been started."""
    return Readiness()


@pytest.fixture
async def client(readiness: Readiness) -> AsyncIterator[Client]:
    """A caller on the admin listener."""
    app = build_admin_app(
        readiness,
        render_metrics=lambda: b"gateway_things 1\n",
        credentials=CredentialDesk(lambda: STANDINGS),
    )
    async with TestClient(TestServer(app)) as running:
        yield running


async def test_health_does_not_depend_on_readiness(client: Client, readiness: Readiness) -> None:
    """A supervisor that kills a draining gateway cuts its streams."""
    readiness.set_unready("draining")

    reply = await client.get("/healthz")

    assert (reply.status, await reply.json()) == (200, {"status": "ok"})


async def test_readiness_says_whether_requests_are_welcome(
    client: Client, readiness: Readiness
) -> None:
    """A load balancer asks it every second."""
    starting = await client.get("/readyz")
    readiness.set_ready()
    ready = await client.get("/readyz")
    readiness.set_unready("draining")
    draining = await client.get("/readyz")

    assert [reply.status for reply in (starting, ready, draining)] == [503, 200, 503]
    names = {"groq": ["GROQ_A", "GROQ_B"]}
    assert await draining.json() == {"status": "draining", "credentials": names}


async def test_readiness_says_how_each_of_several_workers_fares() -> None:
    """One that is being started again does not take the others out of service."""

    class Two:
        def states(self) -> dict[str, str]:
            return {"0": "starting", "1": "ready"}

    app = build_admin_app(Two(), render_metrics=lambda: b"")
    async with TestClient(TestServer(app)) as client:
        reply = await client.get("/readyz")

        said = {"status": "ready", "workers": {"0": "starting", "1": "ready"}}
        assert (reply.status, await reply.json()) == (200, said)


async def test_metrics_are_text_for_prometheus(client: Client) -> None:
    """The version in the content type is part of the format."""
    reply = await client.get("/metrics")

    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert await reply.text() == "gateway_things 1\n"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/api/keys", 404), ("POST", "/metrics", 405)],
)
async def test_anything_else_is_refused_as_json(
    client: Client, method: str, path: str, status: int
) -> None:
    """Nothing that callers use is here, and nothing else either."""
    reply = await client.request(method, path)

    body = await reply.json()
    assert reply.status == status
    assert status != 404 or "here are /healthz, /readyz, /metrics, /keys, " in body["message"]
    assert body["error"]["request_id"] == reply.headers["x-request-id"]
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["server"] == "chat-gateway"
