"""The gateway behind a real nginx with the configuration that ships: what happens to streams.

The rule here: the provider takes no step before the last one has arrived, so no clock is needed to
prove that nothing was held back.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import Gateway, StartGateway
from tests.plugins.nginx import Nginx, StartNginx
from tests.plugins.raw_caller import Caller, request_bytes
from tests.plugins.stepped_provider import DONE, END, ROLE, SteppedProvider, event_of

MESSAGES = [{"role": "user", "content": "Hi"}]
V1, CHAT = "/v1/chat/completions", "/api/chat/sim"
BODIES = {
    V1: {"model": "sim/m", "messages": MESSAGES, "stream": True},
    CHAT: {"chatSettings": {"model": "m"}, "messages": MESSAGES},
}
WORDS = ("One", " two", " three")
LEFT_S = 2.0  # until a provider must know that its caller's caller is gone
BOTH = pytest.mark.parametrize("path", [V1, CHAT], ids=["v1", "chat"])


@dataclass
class Row:
    """A provider, the gateway, and nginx in front of it."""

    provider: SteppedProvider
    gateway: Gateway
    nginx: Nginx

    async def ask(self, caller: Caller, path: str) -> None:
        """Send one request that ends its connection."""
        await caller.send(request_bytes(path, BODIES[path], headers=("Connection: close",)))


@pytest.fixture
async def provider() -> AsyncIterator[SteppedProvider]:
    """A provider that does what the test says, when it says so."""
    async with SteppedProvider() as stepped:
        yield stepped


@pytest.fixture(params=["1.1", "1.0"], ids=["shipped", "http10"])
async def row(
    provider: SteppedProvider,
    start_gateway: StartGateway,
    start_nginx: StartNginx,
    request: pytest.FixtureRequest,
) -> Row:
    """All three, with nginx as shipped and with the HTTP/1.0 that it speaks unless told not to."""
    gateway = await open_gateway(provider, start_gateway)
    nginx = start_nginx(gateway.port, upstream_http=request.param)
    return Row(provider, gateway, nginx)


async def open_gateway(
    provider: SteppedProvider, start_gateway: StartGateway, **commit: float
) -> Gateway:
    """A gateway for everybody that asks only once."""
    settings = {"auth": [ENTRY], "commit": commit}
    entry = {
        "base_url": provider.base_url,
        "allow_private": True,
        "auth": {"required": False},
        "retries": 0,
    }
    return await start_gateway(providers={"sim": entry}, settings=settings)


def expected_of(path: str, word: str) -> bytes:
    """What a caller gets of a word."""
    return event_of(content=word) if path == V1 else word.encode()


@BOTH
async def test_each_piece_arrives_before_the_next_is_sent(row: Row, path: str) -> None:
    """A stream that is collected on its way is an answer that comes all at once."""
    async with Caller(row.nginx.port) as caller:
        await row.ask(caller, path)
        await row.provider.open_stream()
        await row.provider.send(ROLE)
        for word in WORDS:
            await row.provider.send(event_of(content=word))
            read = await caller.read_until(expected_of(path, word))
            if word == WORDS[0]:
                head = read.lower()
        await row.provider.send(DONE)
        await row.provider.send_raw(END)
        rest = await caller.read_to_end()

    assert head.startswith(b"http/1.1 200 ok\r\n")
    assert b"transfer-encoding: chunked\r\n" in head
    assert b"content-encoding" not in head
    assert (ROLE.lower() in head) == (path == V1)
    assert rest.raw.endswith(b"\r\n0\r\n\r\n")
    assert (await row.gateway.log.wait_for_settled())[0]["outcome"] == "finished"


@BOTH
async def test_nothing_is_sent_before_the_first_content(row: Row, path: str) -> None:
    """A head that is held can still become an error that the caller can read."""
    async with Caller(row.nginx.port) as caller:
        await row.ask(caller, path)
        await row.provider.open_stream()
        await row.provider.send(b": waiting\n\n")
        await row.provider.send(ROLE)
        await row.provider.cut()
        heard = await caller.read_to_end()

    assert heard.status == 502
    assert heard.json["error"]["code"] == "upstream_cut"
    assert heard.raw.endswith(b"}")


@BOTH
async def test_a_cut_stream_stays_cut(row: Row, path: str) -> None:
    """A clean end of nginx's own making would turn half an answer into a whole one."""
    async with Caller(row.nginx.port) as caller:
        await row.ask(caller, path)
        await row.provider.open_stream()
        await row.provider.send(event_of(content=WORDS[0]))
        await caller.read_until(expected_of(path, WORDS[0]))
        await row.provider.cut()
        rest = await caller.read_to_end()

    assert not rest.raw.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in rest.raw
    assert (b'"code":"upstream_cut"' in rest.raw) == (path == V1)
    assert (await row.gateway.log.wait_for_settled())[0]["outcome"] == "upstream_failed"


@BOTH
@pytest.mark.parametrize("has_begun", [False, True], ids=["waiting", "reading"])
async def test_a_caller_who_leaves_is_seen_by_the_provider(
    row: Row, path: str, *, has_begun: bool
) -> None:
    """Through two hops and while the provider is silent: tokens nobody reads cost money."""
    async with Caller(row.nginx.port) as caller:
        await row.ask(caller, path)
        await row.provider.open_stream()
        if has_begun:
            await row.provider.send(event_of(content=WORDS[0]))
            await caller.read_until(expected_of(path, WORDS[0]))

    await row.provider.wait_until_left(LEFT_S)
    assert (await row.gateway.log.wait_for_settled())[0]["outcome"] == "client_gone"


async def test_a_silent_provider_does_not_keep_a_v1_caller_without_a_sign(
    provider: SteppedProvider, start_gateway: StartGateway, start_nginx: StartNginx
) -> None:
    """Comments keep proxies from giving up, so nginx must let them through one by one."""
    gateway = await open_gateway(
        provider, start_gateway, v1_max_wait_s=0.05, keep_alive_comment_s=0.05
    )
    nginx = start_nginx(gateway.port)
    row = Row(provider, gateway, nginx)

    async with Caller(nginx.port) as caller:
        await row.ask(caller, V1)
        await provider.wait_until_asked()
        head = await caller.read_until(b": keep-alive\n\n")
        await caller.read_until(b": keep-alive\n\n")
        await provider.send_head()
        await provider.send(event_of(content=WORDS[0]))
        await caller.read_until(expected_of(V1, WORDS[0]))

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    await provider.wait_until_left(LEFT_S)
    await gateway.log.wait_for_settled()


async def test_the_head_of_a_chat_leaves_in_time_without_text(
    provider: SteppedProvider, start_gateway: StartGateway, start_nginx: StartNginx
) -> None:
    """A proxy that waits for a head gives up after a minute, unless it is told to wait longer."""
    gateway = await open_gateway(provider, start_gateway, chat_max_wait_s=0.05)
    nginx = start_nginx(gateway.port)

    async with Caller(nginx.port) as caller:
        await Row(provider, gateway, nginx).ask(caller, CHAT)
        head = await caller.read_until(b"\r\n\r\n")
        await provider.open_stream()
        await provider.send(event_of(content=WORDS[0]))
        await caller.read_until(WORDS[0].encode())

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    await gateway.log.wait_for_settled()


async def test_streams_follow_each_other_on_kept_connections(row: Row) -> None:
    """A late byte of one answer would be the first of the next caller's."""
    for number in range(3):
        async with Caller(row.nginx.port) as caller:
            await row.ask(caller, V1)
            await row.provider.open_stream()
            await row.provider.send(event_of(content=f"answer {number}"))
            await row.provider.send(DONE)
            await row.provider.send_raw(END)
            heard = await caller.read_to_end()

        assert heard.body == event_of(content=f"answer {number}") + DONE
        assert heard.is_whole
