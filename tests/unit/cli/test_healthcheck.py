"""Asking a gateway how it is."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.cli.healthcheck import WHERE, check_health
from gateway.serving.service import Service


async def ask(service: Service, *, live: bool = False) -> int:
    """Ask the service of the fixture, from another thread as another process would."""
    url = service.admin_url
    assert url is not None
    return await asyncio.to_thread(check_health, url, live=live, timeout_s=5)


async def test_a_ready_gateway_is_healthy(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is what a container engine goes by."""
    assert await ask(service) == 0
    assert capsys.readouterr().out == "ready\n"


async def test_a_gateway_that_drains_is_alive_and_not_ready(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asked for life alone would otherwise kill it in the middle of its answers."""
    service.readiness.set_unready("draining")

    assert await ask(service) == 1
    assert await ask(service, live=True) == 0
    assert capsys.readouterr().out == "draining\nok\n"


def test_nobody_there_is_unhealthy(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, and not in a traceback for each try."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"

        assert check_health(url, live=False, timeout_s=1) == 1
    assert capsys.readouterr().err == (
        f"No admin listener answers at {url}: Connection refused. {WHERE}\n"
    )


@pytest.mark.parametrize("url", ["127.0.0.1:8081", "https://127.0.0.1:8081", "http://"])
def test_an_address_that_is_none_is_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it needs to be."""
    assert check_health(url, live=False, timeout_s=1) == 1
    assert "--url needs to be the admin listener's" in capsys.readouterr().err


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """Run a server that says the same to everybody; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_something_else_on_that_port_is_unhealthy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What it says is nobody's business, and may hold commands for a terminal."""
    async with saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n\x1b[2J!") as url:
        assert await asyncio.to_thread(check_health, url, live=True, timeout_s=5) == 1

    assert capsys.readouterr().out == f"status 404: no admin listener. {WHERE}\n"


async def test_what_is_no_http_is_unhealthy(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor does anything of that reach a terminal."""
    async with saying(b"\x1b[2J\r\n\r\n") as url:
        assert await asyncio.to_thread(check_health, url, live=True, timeout_s=5) == 1

    said = capsys.readouterr().err
    assert said == f"No admin listener answers at {url}: BadStatusLine. {WHERE}\n"
