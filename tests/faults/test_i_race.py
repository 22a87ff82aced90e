"""Group I, several processes on one budget: small ones, each with a limiter's store and no gateway.

The rule here: what they did is compared with what Redis says, to the last micro.
"""

import subprocess
import sys
from pathlib import Path

from gateway.stores.counters import LEASE_S, Charge, CounterKind, Used
from gateway.stores.redis_counters import HOLDS, RedisCounters
from tests.plugins.counters import PATIENCE_S
from tests.plugins.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
PROCESSES = 4
BUDGET = 20_000_000
PLACES = 5
FAR = 4_000_000_000.0

RACER = """
import asyncio, random, sys
from gateway.config.stores import RedisAddress
from gateway.stores.counters import Charge, CounterKind, Used
from gateway.stores.redis_counters import RedisCounters

async def main(socket, seed, budget, ends_at):
    counters = RedisCounters(RedisAddress(shown="", path=socket), timeout_s=30)
    chance = random.Random(seed)
    spent = let_in = 0

    async def one(number):
        nonlocal spent, let_in
        cost = chance.randint(1, 100_000)
        charge = Charge("m", CounterKind.MONEY, budget, cost, starts_at=1.0, ends_at=ends_at)
        place = Charge("p", CounterKind.PLACES, 10_000, 1)
        admission = await counters.admit(f"{seed}-{number}", [charge, place])
        if admission.is_admitted:
            actual = chance.randint(cost // 2, cost)
            let_in += 1
            spent += actual
            counters.settle(f"{seed}-{number}", Used(micros=actual))

    for number in range(0, 500, 20):
        await asyncio.gather(*(one(number + step) for step in range(20)))
    await counters.close()
    print(spent, let_in)

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
"""

HOLDER = """
import asyncio, sys
from gateway.config.stores import RedisAddress
from gateway.stores.counters import Charge, CounterKind
from gateway.stores.redis_counters import RedisCounters

async def main():
    counters = RedisCounters(RedisAddress(shown="", path=sys.argv[1]), timeout_s=30)
    place = Charge("p", CounterKind.PLACES, 5, 1)
    quota = Charge("q", CounterKind.QUOTA, 100, 10, starts_at=1.0, ends_at=4e9)
    for number in range(5):
        assert (await counters.admit(f"mine-{number}", [place, quota])).is_admitted
    print("held", flush=True)
    await asyncio.Event().wait()  # until it is killed

asyncio.run(main())
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of this code."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_four_processes_spend_one_budget_and_no_more(valkey: RedisServer) -> None:
    """I01: admitted cost ≤ budget exactly, all of it is used, and nothing is left set aside."""
    valkey.run("FLUSHALL")

    racers = [start(RACER, valkey.socket, seed, BUDGET, FAR) for seed in range(PROCESSES)]
    said = [racer.communicate(timeout=50)[0].split() for racer in racers]

    spent, let_in = (sum(int(words[column]) for words in said) for column in (0, 1))
    used, reserved, *_ = valkey.run("GET", "{chat-gateway}:c:m").split()
    assert (int(used), int(reserved)) == (spent, 0)
    assert BUDGET - 100_000 < spent <= BUDGET
    assert PROCESSES < let_in < PROCESSES * 500
    assert valkey.run("GET", "{chat-gateway}:c:p") is None
    assert valkey.run("ZCARD", HOLDS) == 0


async def test_places_of_a_killed_process_are_free_when_its_lease_ends(
    valkey: RedisServer,
) -> None:
    """I04: and not before; what it had set aside counts as used, and refuses nobody for ever."""
    valkey.run("FLUSHALL")
    with start(HOLDER, valkey.socket) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    counters = RedisCounters(valkey.address, timeout_s=PATIENCE_S)
    place = Charge("p", CounterKind.PLACES, PLACES, 1)
    quota = Charge("q", CounterKind.QUOTA, 100, 50, starts_at=1.0, ends_at=FAR)
    assert not (await counters.admit("early", [place])).is_admitted
    for hold in valkey.run("ZRANGE", HOLDS, 0, -1):  # its time passes
        valkey.run("ZINCRBY", HOLDS, -int(LEASE_S * 1_000_000), hold)

    admission = await counters.admit("late", [place, quota])

    assert admission.is_admitted
    assert [standing.remaining for standing in admission.standings] == [PLACES - 1, 0]
    counters.settle("late", Used())
    await counters.close()
