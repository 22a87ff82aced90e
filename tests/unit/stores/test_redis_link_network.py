"""Redis on another machine: passwords, users with few rights, and TLS."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from gateway.config.stores import RedisAddress, StoresSpec
from gateway.stores.counters import Charge, CounterKind, Used
from gateway.stores.errors import StoreDownError, StoreError
from gateway.stores.redis_counters import RedisCounters
from tests.plugins.counters import PATIENCE_S
from tests.plugins.redis_server import RedisServer

PASSWORD = "canary-password-of-redis-77aa"
ENVIRON = {"PASSWORD": PASSWORD}
RIGHTS = ("~{chat-gateway}:*", "+@scripting", "+@read", "+@write", "+@connection", "+time")
PLACE = Charge("p", CounterKind.PLACES, 2, 1)


@contextlib.asynccontextmanager
async def on_a_port(server: RedisServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The server as others see it: a port, with TLS or without."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        writer.close()

    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        behind, beyond = await asyncio.open_unix_connection(server.socket)
        await asyncio.gather(carry(reader, beyond), carry(behind, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await asyncio.gather(*filter(None, serving))


def address_of(text: str) -> RedisAddress:
    """As it is read from gateway.yaml."""
    found = StoresSpec(counters=text).find_counters(ENVIRON)
    assert found is not None
    return found


async def count_once(counters: RedisCounters) -> int:
    """Let one in, and settle it; what was left meanwhile."""
    await counters.open()
    admission = await counters.admit("a", [PLACE])
    counters.settle("a", Used())
    await counters.renew(["a"])
    return admission.standings[0].remaining


async def test_a_user_with_few_rights_is_enough(own_redis: RedisServer) -> None:
    """L01: whoever steals that password gets no other data and cannot stop the server."""
    own_redis.run("ACL", "SETUSER", "gateway", "on", f">{PASSWORD}", *RIGHTS)
    async with on_a_port(own_redis) as port:
        address = address_of(f"redis://gateway:${{PASSWORD}}@127.0.0.1:{port}/0")
        counters = RedisCounters(address, timeout_s=PATIENCE_S)

        assert await count_once(counters) == 1
        await counters.close()


@pytest.mark.parametrize(
    ("user", "rights", "said"),
    [("nobody", RIGHTS, "refuses"), ("gateway", ("~other:*", "+@all"), "refuses")],
    ids=["no-user", "no-rights"],
)
async def test_a_user_who_may_not_stops_the_start(
    own_redis: RedisServer, user: str, rights: tuple[str, ...], said: str
) -> None:
    """J04: found at the start, and the password is not said."""
    own_redis.run("ACL", "SETUSER", "gateway", "on", f">{PASSWORD}", *rights)
    async with on_a_port(own_redis) as port:
        address = address_of(f"redis://{user}:${{PASSWORD}}@127.0.0.1:{port}")
        counters = RedisCounters(address, timeout_s=PATIENCE_S)

        with pytest.raises(StoreError, match=said) as refused:
            await counters.open()

        assert not isinstance(refused.value, StoreDownError)
        assert f"redis://127.0.0.1:{port}/0" in str(refused.value)
        assert PASSWORD not in str(refused.value)
        await counters.close()


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_over_tls_the_certificate_has_to_be_valid(
    valkey: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool
) -> None:
    """L01: otherwise the password goes to whoever listens."""
    valkey.run("FLUSHALL")
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    if is_trusted:
        trusted = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(trusted))
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with on_a_port(valkey, tls) as port:
        counters = RedisCounters(address_of(f"rediss://localhost:{port}"), timeout_s=PATIENCE_S)

        if is_trusted:
            assert await count_once(counters) == 1
        else:
            with pytest.raises(StoreDownError, match="certificate verify failed"):
                await counters.open()
        await counters.close()
