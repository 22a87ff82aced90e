"""The connection to Redis: what breaks it, and what that costs."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from gateway.config.stores import RedisAddress
from gateway.stores import redis_link
from gateway.stores.errors import StoreDownError, StoreError
from gateway.stores.redis_link import BATCH, KEPT, RedisLink
from tests.plugins.chain import LogLines
from tests.plugins.counters import PATIENCE_S
from tests.plugins.own_time import Stopwatch
from tests.plugins.redis_server import RedisServer, find_server

KEY = "{link}:list"
# Says what it was asked, and writes it down so that order can be seen; "!" is a mistake, and what
# stands behind "-" an error of Redis's own.
ECHO = """
if ARGV[1] == 'probe' then redis.call('SET', '{link}:probe', 1) return 1 end
if ARGV[4] == '!' then return redis.call('NOSUCH') end
if string.sub(ARGV[4], 1, 1) == '-' then return redis.error_reply(string.sub(ARGV[4], 2)) end
redis.call('RPUSH', KEYS[1], ARGV[4])
return ARGV[4]
"""
PASSWORD = "canary-password-of-redis-51b7"


class Heard:
    """What a link says of its state."""

    def __init__(self, link: RedisLink) -> None:
        self.reasons: list[str] = []
        self.came_back = asyncio.Event()
        link.when_down = self.reasons.append
        link.when_up = self.came_back.set


@pytest.fixture
async def link(valkey: RedisServer) -> AsyncIterator[RedisLink]:
    """A link to the server that all share."""
    valkey.run("FLUSHALL")
    opened = RedisLink(valkey.address, ECHO, KEY, timeout_s=PATIENCE_S)
    await opened.open(is_required=True)
    yield opened
    await opened.close()


@pytest.fixture
async def own_link(own_redis: RedisServer) -> AsyncIterator[RedisLink]:
    """A link to a server that may be hurt, with the patience of earnest."""
    opened = RedisLink(own_redis.address, ECHO, KEY)
    await opened.open(is_required=True)
    yield opened
    await opened.close()


async def test_calls_are_answered_in_order(link: RedisLink, valkey: RedisServer) -> None:
    """Whether or not they want an answer, and over several batches."""
    count = 3 * BATCH
    for number in range(0, count, 2):
        link.tell("say", number)
    answers = await asyncio.gather(*(link.call("say", number) for number in range(1, 60, 2)))

    assert answers == [str(number).encode() for number in range(1, 60, 2)]
    said = valkey.run("LRANGE", KEY, 0, -1)
    assert said[: count // 2] == [str(number) for number in range(0, count, 2)]


async def test_whoever_leaves_takes_nobodys_answer(link: RedisLink) -> None:
    """J05: 10,000 callers of whom half leave at any moment; each other one hears their own."""

    async def ask(number: int) -> bytes:
        return await link.call("say", f"mine-{number}")

    tasks = []
    for number in range(10_000):
        tasks.append(asyncio.ensure_future(ask(number)))
        if number % 7 == 0:
            await asyncio.sleep(0)
        if number % 2:
            tasks[number - number % 5].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    heard = [answer for answer in answers if isinstance(answer, bytes)]
    assert len(heard) > 2_500
    for number, answer in enumerate(answers):
        assert isinstance(answer, asyncio.CancelledError) or answer == b"mine-%d" % number
    assert await ask(7) == b"mine-7"


async def test_a_script_that_was_flushed_is_loaded_again(
    link: RedisLink, valkey: RedisServer
) -> None:
    """J03: NOSCRIPT after a restart or a failover is nobody's error."""
    heard = Heard(link)
    valkey.run("SCRIPT", "FLUSH")

    assert await link.call("say", "again") == b"again"
    assert valkey.run("LRANGE", KEY, 0, -1) == ["again"]
    assert heard.reasons == []


async def test_an_idle_connection_that_was_closed_is_opened_again(
    link: RedisLink, valkey: RedisServer
) -> None:
    """J03: servers close what is idle; that is no outage."""
    heard = Heard(link)
    for _ in range(3):
        valkey.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        assert await link.call("say", "there") == b"there"

    assert heard.reasons == []


async def test_a_call_that_the_script_cannot_do_is_the_only_one_that_fails(
    link: RedisLink,
) -> None:
    """J04: a mistake of ours with one counter takes no other one down."""
    heard = Heard(link)
    link.tell("say", "!")
    bad = asyncio.ensure_future(link.call("say", "!"))

    with capture_logs() as lines:
        assert await link.call("say", "good") == b"good"
        with pytest.raises(StoreDownError):
            await bad
    assert link.is_up
    assert heard.reasons == []
    assert link.lost == 1
    assert "counters.script_failed" in [line["event"] for line in lines]


async def test_a_frozen_redis_costs_one_wait(own_link: RedisLink, own_redis: RedisServer) -> None:
    """J02: 250 ms once, for all who ask meanwhile, and then nothing."""
    heard = Heard(own_link)
    own_redis.freeze()
    began = time.monotonic()

    first = await asyncio.gather(
        *(own_link.call("say", number) for number in range(20)), return_exceptions=True
    )

    assert 0.2 < time.monotonic() - began < 2.0
    watch = Stopwatch()
    for _ in range(1_000):
        with pytest.raises(StoreDownError):
            await own_link.call("say", "x")
    assert watch.seconds < 0.2
    assert {type(one) for one in first} == {StoreDownError}
    assert heard.reasons == ["it did not answer in time"]
    own_redis.thaw()
    await heard.came_back.wait()
    assert await own_link.call("say", "x") == b"x"


async def test_what_needs_no_answer_is_done_when_redis_is_back(
    own_link: RedisLink, own_redis: RedisServer
) -> None:
    """J01: killed in the middle, started again, empty: nothing that was told is missing."""
    heard = Heard(own_link)
    own_redis.kill()
    own_link.tell("say", "first")
    with pytest.raises(StoreDownError):
        await own_link.call("say", "nobody waits")
    own_link.tell("say", "second")

    own_redis.start()
    await heard.came_back.wait()

    assert await own_link.call("say", "third") == b"third"
    assert own_redis.run("LRANGE", KEY, 0, -1) == ["first", "second", "third"]
    assert len(heard.reasons) == 1


@pytest.mark.parametrize(
    ("break_it", "mend_it", "words"),
    [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "read only"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "maxmemory"),
        ("SET {link}:list text", "DEL {link}:list", "WRONGTYPE"),
    ],
    ids=["read-only", "no-replicas", "out-of-memory", "wrong-type"],
)
async def test_a_redis_that_refuses_to_write_is_down(
    own_link: RedisLink, own_redis: RedisServer, break_it: str, mend_it: str, words: str
) -> None:
    """J04: it answers, and counts nothing: the same as if it were gone."""
    heard = Heard(own_link)
    own_redis.run(*break_it.split())

    with pytest.raises(StoreDownError):
        await own_link.call("say", "x")

    assert len(heard.reasons) == 1
    assert words in heard.reasons[0]
    own_redis.run(*mend_it.split())
    await heard.came_back.wait()
    assert await own_link.call("say", "x") == b"x"


@pytest.mark.parametrize("taken", ["-rpush", "resetkeys ~{link}:probe"], ids=["command", "keys"])
@pytest.mark.parametrize("program", ["valkey", "redis"])
async def test_a_redis_whose_user_may_no_longer_is_down(program: str, taken: str) -> None:
    """J04: the script is run and stopped half-way; what was to be booked is not given up."""
    with contextlib.closing(RedisServer(find_server(program))) as server:
        link = RedisLink(server.address, ECHO, KEY, timeout_s=PATIENCE_S)
        await link.open(is_required=True)
        heard = Heard(link)
        server.run("ACL", "SETUSER", "default", *taken.split())

        link.tell("say", "settled")
        with pytest.raises(StoreDownError):
            await link.call("say", "x")

        assert len(heard.reasons) == 1
        server.run("ACL", "SETUSER", "default", "+@all", "allkeys")
        await heard.came_back.wait()
        assert await link.call("say", "x") == b"x"
        assert server.run("LRANGE", KEY, 0, -1) == ["settled", "x"]
        assert link.lost == 0
        await link.close()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("ASK 4088 192.0.2.1:6379", "ASK 4088 192.0.2.1:6379"),
        ("MOVED 4088 192.0.2.1:6379", "MOVED 4088 192.0.2.1:6379"),
        ("ERR Script attempted to access a non local key in a cluster node", "a non local key"),
    ],
)
async def test_a_cluster_that_moves_its_keys_away_is_down(
    link: RedisLink, said: str, reason: str
) -> None:
    """J04: while it does, and after that, until the gateway is told the other node."""
    heard = Heard(link)

    with pytest.raises(StoreDownError):
        await link.call("say", f"-{said}")

    assert len(heard.reasons) == 1
    assert reason in heard.reasons[0]


async def test_a_redis_that_loads_its_data_is_down(
    own_link: RedisLink, own_redis: RedisServer
) -> None:
    """J04: after a restart it answers at once, and with nothing to say."""
    heard = Heard(own_link)
    for number in range(20):
        own_redis.run("SET", f"k{number}", "x" * 5_000)
    for setting, value in (
        ("rdbcompression", "no"),
        ("loading-process-events-interval-bytes", 1_024),
        ("key-load-delay", 40_000),  # microseconds for each key
    ):
        own_redis.run("CONFIG", "SET", setting, value)
    with own_redis.session() as session:
        session.send("DEBUG", "RELOAD")
        with contextlib.suppress(StoreDownError):
            while own_link.is_up:  # until it has begun
                await own_link.call("say", "x")

    assert "loading" in heard.reasons[0]
    await heard.came_back.wait()
    assert await own_link.call("say", "x") == b"x"


async def test_too_many_settlements_are_counted_and_not_kept(
    own_redis: RedisServer, log_lines: LogLines
) -> None:
    """J01: an outage of hours costs no more memory than one of minutes, and says what it costs."""
    own_redis.kill()
    link = RedisLink(own_redis.address, ECHO, KEY)
    await link.open(is_required=False)

    for number in range(KEPT + 10):
        link.tell("say", number)

    assert (link.kept, link.lost) == (KEPT, 10)
    await link.close()
    assert (link.kept, link.lost) == (0, KEPT + 10)
    lines = log_lines.find("counters.settlements_lost")
    assert [line["count"] for line in lines] == [1, KEPT + 9]
    assert {(line["level"], line["redis"]) for line in lines} == {("warning", link.shown)}


async def test_what_each_outage_cost_is_said(
    own_link: RedisLink, own_redis: RedisServer, log_lines: LogLines
) -> None:
    """J01: the second one of a process is as bad as the first."""
    heard = Heard(own_link)
    for _ in range(2):
        own_redis.kill()
        with pytest.raises(StoreDownError):
            await own_link.call("say", "x")
        for number in range(KEPT + 10):
            own_link.tell("say", number)
        heard.came_back.clear()
        own_redis.start()
        await heard.came_back.wait()
        assert await own_link.call("say", "x") == b"x"  # after all that was kept

    counts = [line["count"] for line in log_lines.find("counters.settlements_lost")]
    assert counts == [1, 9, 1, 9]


async def test_a_redis_that_is_required_and_gone_stops_the_start(own_redis: RedisServer) -> None:
    """J01: a mistyped address is found by who wrote it."""
    own_redis.kill()
    link = RedisLink(own_redis.address, ECHO, KEY)

    with pytest.raises(StoreDownError, match="require_counters: false"):
        await link.open(is_required=True)

    await link.close()


async def test_a_wrong_password_stops_the_start_and_is_not_said(own_redis: RedisServer) -> None:
    """J04: no waiting mends it, whether or not Redis is required."""
    own_redis.run("CONFIG", "SET", "requirepass", "another")
    address = RedisAddress(
        shown="redis://shown", path=str(own_redis.socket), password=SecretStr(PASSWORD)
    )
    link = RedisLink(address, ECHO, KEY)

    with pytest.raises(StoreError, match="redis://shown refuses") as refused:
        await link.open(is_required=False)

    assert PASSWORD not in str(refused.value)
    assert not isinstance(refused.value, StoreDownError)
    await link.close()


async def test_who_was_held_up_themselves_blames_nobody(own_link: RedisLink) -> None:
    """J02: a process that was stopped for a while finds its answer late, and asks again."""
    heard = Heard(own_link)
    asked = asyncio.ensure_future(own_link.call("say", "x"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(2 * redis_link.TIMEOUT_S)  # noqa: ASYNC251 - that is what is tested

    assert await asked == b"x"
    assert heard.reasons == []


async def test_closing_while_redis_is_gone_does_not_wait(
    own_link: RedisLink, own_redis: RedisServer
) -> None:
    """K01: a gateway stops in its time, whatever Redis does."""
    own_redis.freeze()
    own_link.tell("say", "x")
    with contextlib.suppress(StoreDownError):
        await own_link.call("say", "x")
    began = time.monotonic()

    await own_link.close()

    assert time.monotonic() - began < 1.0
    assert own_link.lost == 1
