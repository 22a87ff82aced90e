"""The connections to one provider: reused, bounded, and let go of in time."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.core.errors import ProviderBusyError
from gateway.core.upstream_errors import UpstreamConnectError
from gateway.upstream.connection import Connection
from gateway.upstream.dial import Target
from gateway.upstream.pool import Pool
from gateway.upstream.resolver import Resolver
from tests.plugins.raw_provider import (
    OK,
    REQUEST,
    TIMEOUT_S,
    RawProvider,
    Recorder,
    answer_with,
)


class WatchedPool(Pool):
    """One that says when its last connection has gone."""

    def __init__(self, target: Target, resolver: Resolver, **limits: float) -> None:
        super().__init__(target, resolver, **limits)
        self.is_empty = asyncio.Event()

    def _forget(self, connection: Connection) -> None:
        super()._forget(connection)
        if not self.open_connections:
            self.is_empty.set()


OpenPool = Callable[..., WatchedPool]


@pytest.fixture
async def open_pool(
    make_target: Callable[..., Target], resolver: Resolver
) -> AsyncIterator[OpenPool]:
    """Pools of a raw provider, closed at the end."""
    pools: list[WatchedPool] = []

    def make(provider: RawProvider, **fields: float) -> WatchedPool:
        usual = {"max_connections": 10, "keep_alive_s": 60.0}
        pools.append(WatchedPool(make_target(provider.port), resolver, **{**usual, **fields}))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


async def use(connection: Connection) -> Recorder:
    """One request on a connection, heard out."""
    recorder = Recorder()
    connection.send(REQUEST, recorder)
    await recorder.wait()
    return recorder


async def test_a_connection_comes_back_and_is_used_again(open_pool: OpenPool) -> None:
    """A handshake for each request would be half of the time to the first token."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider)

        for served in range(3):
            connection = await pool.take()
            assert connection.served == served
            await use(connection)

        assert (provider.connections, pool.open_connections, pool.idle_connections) == (1, 1, 1)


async def test_the_newest_idle_connection_is_taken(open_pool: OpenPool) -> None:
    """The oldest ones are the likeliest to be closed by now, and may expire in peace."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider)
        first, second = await pool.take(), await pool.take()
        await use(first)
        await use(second)

        assert await pool.take() is second
        assert await pool.take() is first
        assert pool.idle_connections == 0


async def test_a_connection_in_use_is_never_given_to_another(open_pool: OpenPool) -> None:
    """Two answers on one connection are somebody else's answer."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider)

        taken = [await pool.take() for _ in range(3)]

        assert len(set(taken)) == 3


async def test_above_the_cap_the_answer_is_busy_at_once(open_pool: OpenPool) -> None:
    """A queue without an end is a slow crash."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider, max_connections=2)
        first, _ = await pool.take(), await pool.take()

        with pytest.raises(ProviderBusyError) as caught:
            await pool.take()

        assert caught.value.status == 503
        assert 1 <= int(caught.value.headers["Retry-After"]) <= 4
        assert "Groq" in caught.value.public
        await use(first)
        assert await pool.take() is first


async def test_those_that_nobody_uses_can_be_closed(open_pool: OpenPool) -> None:
    """M02: files are short, and each of these is one; those in use go on."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider)
        busy, idle = await pool.take(), await pool.take()
        await use(idle)

        pool.close_idle()

        assert (pool.open_connections, pool.idle_connections) == (1, 0)
        assert busy.is_open
        assert not idle.is_open
        await use(busy)
        assert await pool.take() is busy


async def test_connections_being_opened_count_against_the_cap(open_pool: OpenPool) -> None:
    """A burst must not slip through while the first handshakes last."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider, max_connections=2)

        taken = await asyncio.gather(*(pool.take() for _ in range(5)), return_exceptions=True)

        assert [type(each) for each in taken].count(ProviderBusyError) == 3
        assert pool.open_connections == 2


async def test_a_failed_connect_gives_its_place_back(
    make_target: Callable[..., Target], resolver: Resolver
) -> None:
    """Otherwise a provider that was down for a minute stays busy for ever."""
    async with RawProvider(answer_with(OK)) as provider:
        port = provider.port
    pool = Pool(make_target(port), resolver, max_connections=1, keep_alive_s=1)

    for _ in range(3):
        with pytest.raises(UpstreamConnectError):
            await pool.take()

    assert pool.open_connections == 0


async def test_a_cancelled_connect_gives_its_place_back(open_pool: OpenPool) -> None:
    """Callers leave while we connect."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider, max_connections=1)
        taking = asyncio.ensure_future(pool.take())
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.wait([taking])

        connection = await pool.take()

        assert (await use(connection)).body == b"ok"


async def test_a_connect_that_is_given_up_gives_its_place_back(open_pool: OpenPool) -> None:
    """A gateway that stops has a word left for who waits; nobody else is told of it."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider, max_connections=1)
        taking = asyncio.ensure_future(pool.take())
        await asyncio.sleep(0)
        assert pool.dialing == 1

        pool.give_up_dials()

        with pytest.raises(TimeoutError):
            await taking
        assert (pool.dialing, pool.is_in_use) == (0, False)
        assert (await use(await pool.take())).body == b"ok"


async def test_an_unused_connection_is_closed_after_a_while(open_pool: OpenPool) -> None:
    """Kept longer than the provider keeps it, the next request would fail first."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider, keep_alive_s=0.01)
        await use(await pool.take())

        await provider.wait_until_left()

        assert pool.idle_connections == 0
        assert (await pool.take()).served == 0


async def test_those_that_are_unused_since_later_are_closed_later(open_pool: OpenPool) -> None:
    """One timer looks after all of them."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider, keep_alive_s=0.02)
        first, second = await pool.take(), await pool.take()
        await use(first)
        await use(second)
        second.idle_until += 0.1  # as if it had been used until later

        async with asyncio.timeout(TIMEOUT_S):
            await pool.is_empty.wait()

        assert pool.idle_connections == 0


async def test_an_expired_connection_leaves_its_place_at_once(open_pool: OpenPool) -> None:
    """The loop may be late: then the pool finds out when it is asked for a connection."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider, max_connections=1, keep_alive_s=30.0)
        first = await pool.take()
        await use(first)
        first.idle_until = 1.0  # as if half a minute had passed

        second = await pool.take()

        assert second is not first
        assert second.is_open


async def test_a_connection_in_use_does_not_expire(open_pool: OpenPool) -> None:
    """The timer is that of the idle time; a long answer may take an hour."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider)
        first = await pool.take()
        await use(first)
        assert first.idle_until > 0

        again = await pool.take()

        assert again is first
        assert again.idle_until == 0


@pytest.mark.parametrize("value", [b"timeout=1", b"timeout=0", b"timeout=1, max=100"])
async def test_a_provider_that_keeps_connections_briefly_is_believed(
    open_pool: OpenPool, value: bytes
) -> None:
    """Its own limit counts, less a second for the way."""
    answer = OK.replace(b"OK\r\n", b"OK\r\nKeep-Alive: " + value + b"\r\n")
    async with RawProvider(answer_with(answer)) as provider:
        pool = open_pool(provider)
        await use(await pool.take())
        await provider.wait_until_left()

        assert pool.idle_connections == 0


async def test_a_connection_that_the_provider_closed_is_not_given_out(open_pool: OpenPool) -> None:
    """Most providers close idle connections first."""
    close = OK.replace(b"OK\r\n", b"OK\r\nX: y\r\n")
    async with RawProvider(answer_with(close, then="fin")) as provider:
        pool = open_pool(provider)
        first = await pool.take()
        await use(first)
        await pool.is_empty.wait()

        assert (await pool.take()) is not first
        assert provider.connections == 2


async def test_bytes_on_an_idle_connection_take_it_out_of_the_pool(open_pool: OpenPool) -> None:
    """They would be read as the next caller's answer."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider)
        connection = await pool.take()
        await use(connection)
        connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await provider.wait_until_left()

        assert (pool.idle_connections, connection.is_open) == (0, False)


async def test_a_fresh_connection_may_be_asked_for(open_pool: OpenPool) -> None:
    """When one idle connection was dead, the others may be as well."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider)
        first = await pool.take()
        await use(first)

        fresh = await pool.take(fresh=True)

        assert fresh is not first
        assert fresh.served == 0
        assert pool.idle_connections == 1


async def test_closing_the_pool_closes_every_connection(open_pool: OpenPool) -> None:
    """Busy ones too: the process is about to end."""
    async with RawProvider(answer_with(OK)) as provider:
        pool = open_pool(provider)
        idle, busy = await pool.take(), await pool.take()
        await use(idle)
        pool.close()
        await provider.wait_until_left()
        assert pool.open_connections == 0

        assert not idle.is_open
        assert not busy.is_open
        assert pool.idle_connections == 0
