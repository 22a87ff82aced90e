"""Both listeners, up and down."""

import asyncio
import json

import pytest
import structlog
from aiohttp import ClientSession

from gateway.app import SIMULATOR
from gateway.config.load import Registry
from gateway.config.settings import AdminSpec, ServerSpec, Settings
from gateway.core.exchange import Exchange
from gateway.middleware.assign_request_id import IN_FLIGHT
from gateway.server.sockets import ListenError
from gateway.serving.service import Service

QUESTION = {"chatSettings": {"model": "demo"}, "messages": [{"role": "user", "content": "Hi"}]}
SLOW = 'sim:{"tokens": ["It ", "is ", "whole."], "gap_s": 0.2}'
SLOW_QUESTION = {**QUESTION, "chatSettings": {"model": SLOW}}


async def get(url: str) -> tuple[int, str]:
    """One page."""
    async with ClientSession() as session, session.get(url) as reply:
        return reply.status, await reply.text()


async def test_what_is_for_operators_is_on_the_admin_listener_alone(service: Service) -> None:
    """A proxy in front that forgets a rule must not matter."""
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await get(f"{service.admin_url}{path}"))[0] == 200
        assert (await get(f"{service.url}{path}"))[0] == 404
    assert (await get(f"{service.admin_url}/api/keys"))[0] == 404


async def test_exchanges_show_in_the_metrics(service: Service) -> None:
    """Both apps know the same numbers."""
    await get(f"{service.url}/api/keys")

    _, text = await get(f"{service.admin_url}/metrics")

    assert 'outcome="finished",status="200"} 1.0' in text


async def test_a_running_answer_is_finished_before_the_end(service: Service) -> None:
    """A deploy cuts nobody off."""
    async with (
        ClientSession() as session,
        session.post(f"{service.url}/api/chat/demo", data=json.dumps(SLOW_QUESTION)) as reply,
    ):
        begun = await reply.content.readany()
        draining = asyncio.ensure_future(service.drain())
        rest = await reply.content.read()
        await draining

    assert begun + rest == b"It is whole."


async def test_the_demo_names_the_address_that_was_called(service: Service) -> None:
    """The port may be any free one, and the line is there to be pasted."""
    found = service.app[SIMULATOR].gateway_url

    assert found == service.url
    assert not found.endswith(":0")


async def test_a_listener_on_all_addresses_says_so(registry: Registry) -> None:
    """In its log too; what is to be pasted has an address that can be called."""
    everywhere = ServerSpec(host="0.0.0.0", port=0, drain_s=5)
    settings = Settings(server=everywhere, admin=AdminSpec(port=0))
    running = Service(settings, registry, lambda _: None)

    with structlog.testing.capture_logs() as lines:
        await running.start()
    await running.stop()

    assert [line["url"] for line in lines if line["event"] == "gateway.started"] == [running.url]
    assert running.url.startswith("http://0.0.0.0:")
    assert running.app[SIMULATOR].gateway_url.startswith("http://127.0.0.1:")


async def test_while_draining_nobody_new_is_let_in(service: Service) -> None:
    """The load balancer is told, and the port is closed."""
    async with (
        ClientSession() as session,
        session.post(f"{service.url}/api/chat/demo", data=json.dumps(QUESTION)) as reply,
    ):
        await reply.content.readany()
        draining = asyncio.ensure_future(service.drain())
        await asyncio.sleep(0)

        status, text = await get(f"{service.admin_url}/readyz")
        with pytest.raises(OSError, match="Connect call failed"):
            await get(f"{service.url}/api/keys")
        service.app[IN_FLIGHT].stop_waiting()
        await draining

    assert (status, json.loads(text)) == (503, {"status": "draining"})


async def test_an_answer_that_outlasts_the_drain_is_cut(registry: Registry) -> None:
    """Not ended cleanly: half an answer must not look whole."""
    settings = Settings(server=ServerSpec(port=0, drain_s=0.01), admin=AdminSpec(enabled=False))
    service = Service(settings, registry, list[Exchange]().append)
    await service.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.split(":")[-1]))
    body = json.dumps(QUESTION)
    writer.write(
        f"POST /api/chat/demo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        f"{body}".encode()
    )
    received = await reader.readuntil(b"\r\n\r\n")

    await service.drain()
    await service.stop()
    received += await reader.read()
    writer.close()

    assert received.startswith(b"HTTP/1.1 200")
    assert not received.endswith(b"0\r\n\r\n")
    assert service.admin_url is None


async def test_a_port_in_use_leaves_nothing_behind(service: Service, registry: Registry) -> None:
    """Whoever starts a second one by mistake."""
    port = int(service.url.split(":")[-1])
    settings = Settings(server=ServerSpec(port=port), admin=AdminSpec(port=0))
    second = Service(settings, registry, list[Exchange]().append)

    with pytest.raises(ListenError, match=str(port)):
        await second.start()
    await second.stop()


async def test_whoever_asks_before_it_listens_is_told_so(registry: Registry) -> None:
    """A SIGHUP that waited for the gateway to start is answered with how it fares."""
    service = Service(Settings(), registry, list[Exchange]().append)

    described = service.describe()
    await service.stop()

    assert described == "Starting."
