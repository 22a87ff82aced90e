"""Group J, Redis: gone, frozen, empty, read-only or full, under a gateway that counts in it.

The rule here: the password of every Redis is a canary, looked for in every log line, answer and
metric; a rule says what happens meanwhile, and one line says when it begins and when it ends.
"""

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app import LIMITER, WRITER
from gateway.limits.limiter import Limiter
from gateway.simulator import Simulator
from gateway.stores.redis_link import TIMEOUT_S
from tests.faults.conftest import OpenScene
from tests.plugins.redis_server import RedisServer, find_server
from tests.plugins.scene import CHAT, PATHS, V1, Scene, error_of, eventually, header_of

PASSWORD = "canary-password-of-redis-9e3d10"
STALLED: dict[str, Any] = {"count": 5, "stall": {"after_tokens": 2}}

OpenCounted = Callable[..., Awaitable[Scene]]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A server of the test's own that wants a password."""
    server = RedisServer(find_server("valkey"), "--requirepass", PASSWORD, password=PASSWORD)
    yield server
    server.close()


def find_port() -> int:
    """A port that the kernel gives nobody who asks for any: those begin above 32,000."""
    first = 20_000 + os.getpid() * 10 % 10_000  # another one in each process
    for port in range(first, first + 10):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError(f"the ports from {first} on are taken")


@pytest.fixture
def two_servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    """One, and its copy."""
    port = str(find_port())
    program = find_server("valkey")
    first = RedisServer(program, "--port", port, "--repl-diskless-sync-delay", "0")
    second = RedisServer(program, "--replicaof", f"127.0.0.1 {port}")
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def open_counted(
    redis: RedisServer, open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> OpenCounted:
    """Opens scenes with rules r0, r1 and so on, counted in that Redis."""
    monkeypatch.setenv("REDIS_PASSWORD", PASSWORD)

    async def make(*rules: dict[str, Any], **stores: Any) -> Scene:
        limits = [
            {"name": f"r{number}", "on": "principal", "match": {"provider": "sim"}, **rule}
            for number, rule in enumerate(rules)
        ]
        counters = f"unix://:${{REDIS_PASSWORD}}@{redis.socket}"
        scene = await open_scene(
            settings={"limits": limits, "stores": {"counters": counters, **stores}},
        )
        scene.gateway.secrets.append(PASSWORD)
        return scene

    return make


def changes_of(scene: Scene) -> list[str]:
    """What the log says of Redis, and of scripts that it could not run."""
    events = [line["event"] for line in scene.gateway.log.lines]
    return [event for event in events if event.startswith("counters.")]


def find_limiter(scene: Scene) -> Limiter:
    """What renews the holds of this gateway."""
    limiter = scene.gateway.service.app[LIMITER]
    assert limiter is not None
    return limiter


def is_degraded(scene: Scene) -> bool:
    """What Prometheus sees."""
    return 'gateway_degraded{component="counters"} 1.0' in scene.gateway.metrics


async def see_it_back(scene: Scene) -> None:
    """Wait until Redis is asked again; there are two lines then, and no third."""
    await eventually(lambda: not is_degraded(scene), "Redis is asked again")
    assert changes_of(scene) == ["counters.redis_lost", "counters.redis_regained"]


async def test_places_are_shared_through_redis(
    open_counted: OpenCounted, simulator: Simulator
) -> None:
    """I01, I05: 20 at once for five places; every one that ends is free for the next."""
    scene = await open_counted({"concurrent": 5})
    callers = [scene.call(STALLED) for _ in range(20)]
    opened = [await caller.__aenter__() for caller in callers]

    await scene.gateway.log.wait_for_settled(15)

    assert simulator.journal.count == 5
    for caller in opened:
        caller.hang_up()
    for caller in callers:
        await caller.__aexit__(None, None, None)
    await eventually(lambda: scene.gateway.is_quiet, "every place is free")
    assert changes_of(scene) == []


@pytest.mark.parametrize("path", PATHS)
async def test_a_redis_that_dies_is_one_line_and_no_error(
    open_counted: OpenCounted, redis: RedisServer, path: str
) -> None:
    """J01: the process lets in its part, at once, until Redis is back, and says so once."""
    scene = await open_counted({"requests_per_minute": 40}, instances=4)
    assert (await scene.ask("plain", path)).status == 200
    redis.kill()
    began = time.monotonic()

    heard = [await scene.ask("plain", path) for _ in range(12)]

    assert time.monotonic() - began < 2.0
    assert [one.status for one in heard] == [200] * 10 + [429] * 2
    assert error_of(heard[-1]) == (429, "request_rate_exceeded")
    assert is_degraded(scene)
    redis.start()
    await see_it_back(scene)


@pytest.mark.parametrize("path", PATHS)
async def test_a_frozen_redis_costs_one_wait(
    open_counted: OpenCounted, redis: RedisServer, path: str
) -> None:
    """J02: 250 ms for who asks first, nothing for who asks next."""
    scene = await open_counted({"concurrent": 100})
    redis.freeze()
    began = time.monotonic()
    first = await asyncio.gather(*(scene.ask("plain", path) for _ in range(5)))
    first_s = time.monotonic() - began
    began = time.monotonic()
    later = [await scene.ask("plain", path) for _ in range(5)]
    later_s = time.monotonic() - began

    assert {one.status for one in (*first, *later)} == {200}
    assert TIMEOUT_S * 0.9 < first_s < TIMEOUT_S + 1.0
    assert later_s < first_s + 0.25
    redis.thaw()
    await see_it_back(scene)


async def test_a_flushed_redis_learns_what_is_held(
    open_counted: OpenCounted, redis: RedisServer
) -> None:
    """J03: nobody notices; with the next heartbeat the places are counted again."""
    scene = await open_counted({"concurrent": 2, "tokens_per_day": 1_000_000})
    async with scene.call(STALLED) as caller:
        await caller.read_until(b"word1")
        redis.run("FLUSHALL")
        redis.run("SCRIPT", "FLUSH")

        assert (await scene.ask("plain")).status == 200
        assert "renew_holds" in {task.get_name() for task in asyncio.all_tasks()}
        await find_limiter(scene).renew()  # as that does it every ten seconds
        async with scene.call(STALLED) as second:
            await second.read_until(b"word1")
            assert error_of(await scene.ask("plain")) == (429, "concurrency_exceeded")
            second.hang_up()
        caller.hang_up()
    assert changes_of(scene) == []


async def test_a_flushed_redis_learns_what_was_spent(
    open_counted: OpenCounted, redis: RedisServer
) -> None:
    """J03: Redis is a cache of the ledger, as far as days and months go."""
    scene = await open_counted({"tokens_per_day": 1_000_000})
    assert (await scene.ask("plain")).status == 200
    line = await scene.settled()
    tokens = line["tokens_in"] + line["tokens_out"]
    writer = scene.gateway.service.app[WRITER]
    while not await writer.fetch_spent(0, 2**52):  # noqa: ASYNC110 - it tells nobody when it wrote
        await asyncio.sleep(0)
    redis.run("FLUSHALL")

    await find_limiter(scene).renew()

    await eventually(lambda: redis.run("EXISTS", "{chat-gateway}:recalled") == 1, "it was told")
    [key] = redis.run("KEYS", "*r0-day*")
    assert redis.run("GET", key).split()[:2] == [str(tokens), "0"]
    assert changes_of(scene) == []


async def test_an_answer_that_began_before_an_outage_is_booked_after_it(
    open_counted: OpenCounted, redis: RedisServer
) -> None:
    """J03: started again, empty: what was used meanwhile is in it, and no place is taken."""
    scene = await open_counted({"concurrent": 4, "tokens_per_day": 1_000_000})
    async with scene.call(STALLED) as caller:
        await caller.read_until(b"word1")
        redis.kill()
        assert (await scene.ask("plain")).status == 200
        caller.hang_up()
        await scene.settled(2)
    redis.start()
    await see_it_back(scene)

    def used() -> list[list[str]]:
        return [redis.run("GET", key).split()[:2] for key in redis.run("KEYS", "*r0-day*")]

    tokens = sum(line["tokens_in"] + line["tokens_out"] for line in scene.gateway.log.settled[:2])
    await eventually(lambda: used() == [[str(tokens), "0"]], "what was used is booked")
    assert redis.run("KEYS", "*r0-concurrent*") == []


REFUSALS = {
    "read-only": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    "no-replicas": ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
    "full": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "another type": ("SET {chat-gateway}:holds text", "DEL {chat-gateway}:holds"),
    "another password": ("CONFIG SET requirepass x", f"CONFIG SET requirepass {PASSWORD}"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_redis_that_refuses_to_count_is_as_good_as_gone(
    open_counted: OpenCounted, redis: RedisServer, refusal: str
) -> None:
    """J04: it answers, and nobody gets to see what."""
    break_it, mend_it = REFUSALS[refusal]
    scene = await open_counted({"concurrent": 100})
    redis.run("DEL", "{chat-gateway}:holds")
    with redis.session() as session:
        session.run(*break_it.split())
        session.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        heard = [await scene.ask("plain", path) for path in (V1, CHAT)]
        session.run(*mend_it.split())

    assert [one.status for one in heard] == [200, 200]
    await see_it_back(scene)


async def test_a_redis_that_runs_somebodys_script_is_as_good_as_gone(
    open_counted: OpenCounted, redis: RedisServer
) -> None:
    """J04: BUSY."""
    scene = await open_counted({"concurrent": 100})
    redis.run("CONFIG", "SET", "lua-time-limit", 1)
    with redis.session() as busy:
        busy.send("EVAL", "while true do end", 0)
        began = time.monotonic()
        heard = await scene.ask("plain")
        assert time.monotonic() - began < 2.0
        redis.run("SCRIPT", "KILL")

    assert heard.status == 200
    await see_it_back(scene)


@pytest.mark.parametrize("path", PATHS)
async def test_a_rule_says_who_is_let_in_meanwhile(
    open_counted: OpenCounted, redis: RedisServer, path: str
) -> None:
    """5.2: `closed` is 503 with `Retry-After` and never 429; the log names the rule."""
    scene = await open_counted(
        {"concurrent": 1, "on_store_failure": "open"},
        {"tokens_per_day": 1_000_000, "on_store_failure": "closed"},
    )
    redis.kill()

    heard = await scene.ask("plain", path)

    assert error_of(heard) == (503, "limits_unavailable")
    assert 5 <= int(header_of(heard, "retry-after") or 0) <= 9
    line = await scene.settled()
    assert (line["outcome"], line["refused_by"]) == ("rejected", "r1")
    assert scene.upstream_requests == 0
    redis.start()
    await see_it_back(scene)


async def test_an_open_rule_lets_everybody_in(
    open_counted: OpenCounted, redis: RedisServer
) -> None:
    """5.2: and says nothing of what is left, because nobody knows."""
    scene = await open_counted({"concurrent": 1, "on_store_failure": "open"})
    redis.kill()
    async with scene.call(STALLED) as caller:
        await caller.read_until(b"word1")

        assert (await scene.ask("plain")).status == 200
        caller.hang_up()
    redis.start()
    await see_it_back(scene)


async def test_callers_who_leave_while_redis_is_slow_leave_nothing(
    open_counted: OpenCounted, redis: RedisServer
) -> None:
    """J05, I05: cancelled with the question under way: no place, and nobody else's answer."""
    scene = await open_counted({"concurrent": 30})
    for _ in range(3):
        redis.freeze()
        thaw = threading.Timer(TIMEOUT_S / 3, redis.thaw)
        thaw.start()
        callers = [scene.call(STALLED) for _ in range(20)]
        opened = [await caller.__aenter__() for caller in callers]
        for number, caller in enumerate(opened):
            if number % 2:
                caller.hang_up()
        await asyncio.to_thread(thaw.join)
        for caller in opened:
            caller.hang_up()
        for caller in callers:
            await caller.__aexit__(None, None, None)
        await eventually(lambda: scene.gateway.is_quiet, "nothing is in flight")

    await eventually(lambda: redis.run("KEYS", "*r0-concurrent*") == [], "every place is free")


async def test_after_a_failover_counting_goes_on(
    two_servers: tuple[RedisServer, RedisServer], open_scene: OpenScene, tmp_path: Path
) -> None:
    """J03: what the copy has heard of is counted there, and the stream keeps its place."""
    first, second = two_servers
    address = tmp_path / "primary"  # what a name of a server is elsewhere
    address.symlink_to(first.socket)
    rule = {"name": "r0", "on": "principal", "match": {"provider": "sim"}, "concurrent": 2}
    scene = await open_scene(
        settings={
            "limits": [{**rule, "tokens_per_day": 1_000_000}],
            "stores": {"counters": f"unix://{address}"},
        },
    )

    def counted(server: RedisServer) -> list[list[str]]:
        return [server.run("GET", key).split() for key in sorted(server.run("KEYS", "*:c:*"))]

    async with scene.call(STALLED) as caller:
        await caller.read_until(b"word1")
        assert (await scene.ask("plain")).status == 200
        await eventually(lambda: counted(second) == counted(first) != [], "the copy has it all")
        first.kill()
        second.run("REPLICAOF", "NO", "ONE")
        address.unlink()
        address.symlink_to(second.socket)

        async with scene.call(STALLED) as other:
            await other.read_until(b"word1")
            assert error_of(await scene.ask("plain")) == (429, "concurrency_exceeded")
            other.hang_up()
        caller.hang_up()
    await eventually(lambda: second.run("KEYS", "*r0-concurrent*") == [], "every place is free")
    assert changes_of(scene) == []


async def test_who_ends_while_redis_is_frozen_is_settled_there_once(
    open_counted: OpenCounted, redis: RedisServer
) -> None:
    """J02 and A05: it still has the place and what was set aside, and knows of no end."""
    scene = await open_counted({"concurrent": 3, "tokens_per_day": 100_000})

    def counted(cap: str) -> list[str]:
        found = redis.run("GET", f"{{chat-gateway}}:c:r0-{cap}\x1falice")
        return found.split() if found else ["0", "0"]

    def used() -> int:
        lines = scene.gateway.log.settled
        return sum(line["tokens_in"] + line["tokens_out"] for line in lines)

    async with scene.call(STALLED) as leaves, scene.call(STALLED, CHAT) as stays:
        await leaves.read_until(b"word1")
        await stays.read_until(b"word1")
        redis.freeze()
        leaves.reset()
        await scene.settled(1)
        assert (await scene.ask("plain")).status == 200  # let in by the process itself
        redis.thaw()

        await eventually(lambda: counted("day")[0] == str(used()), "both are booked")
        assert counted("concurrent")[1] == "1"

    await scene.settled(3)
    await eventually(lambda: counted("day")[0] == str(used()), "all are booked")
    await eventually(lambda: counted("concurrent")[1] == "0", "every place is free")
