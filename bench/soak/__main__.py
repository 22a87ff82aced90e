"""`python -m bench.soak`: start everything, load it, hold what came of it against itself.

The rule here: whatever was started is ended on the way out; 1 when a bound was missed.
"""

import asyncio
import hashlib
import json
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
import uvloop

from bench.accounting import find_workers
from bench.chains import FOUR_RULES
from bench.counters import has_server, run_server
from bench.machine import Cores, raise_open_files
from bench.programs import HOST, Launch, Program, ProgramError, find_free_port, running
from bench.soak.books import LOST, REGAINED, find_faults, read_books
from bench.soak.callers import Callers
from bench.soak.judging import Row, judge_processes, render
from bench.soak.options import Options, read_options
from bench.soak.samples import Sample, take_sample
from bench.soak.sorts import SORTS
from gateway.stores.redis_counters import HOLDS

STOP_S = 60
QUIET_S = 20.0  # for the last connections to go
SETTINGS = """\
server: {{workers: {workers}}}
auth: [{{kind: gateway_key, keys: {{soak: "sha256:{digest}"}}}}]
ledger: {{enabled: true, journal: {directory}/journal}}
logging: {{format: json}}
middleware: [{{use: "bench.soak.inside:show_inside", after: authenticate}}]
"""
STORES = "stores: {{database: 'sqlite:///{directory}/gateway.db'{counters}}}\n"
PROVIDERS = """\
providers:
  sim:
    base_url: http://{host}:{port}/v1
    allow_private: true
    auth: {{required: false}}
    retries: 0  # a 503 that a request asks for comes again
    timeouts: {{keep_alive_s: 1}}  # so that idle connections come and go, and are gone in the end
"""
SHOWN_FAULTS = 30


@dataclass(frozen=True, slots=True)
class Scene:
    """What runs."""

    directory: Path
    gateway: Program
    port: int
    key: str
    counters: str  # where Redis is; empty where there is none

    @property
    def log(self) -> Path:
        """What the gateway says."""
        return self.gateway.launch.log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak; 1 when something was not as it must be, 2 when it could not be run."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = read_options(arguments)
    raise_open_files()
    try:
        with ExitStack() as stack:
            scratch = tempfile.TemporaryDirectory(prefix="gateway-soak-")
            directory = options.keep or Path(stack.enter_context(scratch))
            directory.mkdir(parents=True, exist_ok=True)
            scene = stack.enter_context(start(directory, options))
            rows, faults = run(scene, options)
    except ProgramError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted: everything that was started has been ended.", file=sys.stderr)
        return 130
    print(render(rows))
    for fault in faults[:SHOWN_FAULTS]:
        print(f"- {fault}")
    return 0 if all(row.is_met for row in rows) else 1


@contextmanager
def start(directory: Path, options: Options) -> Iterator[Scene]:
    """Everything that runs, each a process of its own."""
    with ExitStack() as stack:
        counters = ""
        if has_server():
            counters = stack.enter_context(run_server(directory, Cores()))
        command = [sys.executable, "-m", "bench.soak.provider", str(directory / "served")]
        launch = Launch("provider", command, directory / "provider.log", has_pipes=True)
        provider = stack.enter_context(running(launch))
        line = provider.child.stdout.readline() if provider.child.stdout else b""
        if not line:
            provider.child.wait()
            provider.check()
        key = f"gw-{secrets.token_hex(16)}"
        write_settings(directory, options, key, counters)
        (directory / "providers.yaml").write_text(
            PROVIDERS.format(host=HOST, port=json.loads(line)["port"])
        )
        port, admin_port = find_free_port(), find_free_port()
        command = [
            *(
                sys.executable,
                "-m",
                "gateway",
                "serve",
                "--config",
                str(directory / "gateway.yaml"),
            ),
            *("--providers", str(directory / "providers.yaml")),
            *("--port", str(port), "--admin-port", str(admin_port)),
        ]
        gateway = stack.enter_context(running(Launch("gateway", command, directory / "log")))
        gateway.wait_until_ready(port, "/v1/models", {"Authorization": f"Bearer {key}"})
        yield Scene(directory, gateway, port, key, counters)


def write_settings(directory: Path, options: Options, key: str, counters: str) -> None:
    """All of the chain, as far as the machine has what it needs."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    text = SETTINGS.format(workers=options.workers, digest=digest, directory=directory)
    shared = f", counters: '{counters}'" if counters else ""
    text += STORES.format(directory=directory, counters=shared)
    if counters:
        text += FOUR_RULES
    (directory / "gateway.yaml").write_text(text)


def run(scene: Scene, options: Options) -> tuple[list[Row], list[str]]:
    """Load it, stop it, and say how it was."""
    callers = Callers(scene.port, scene.key, options)
    samples, after = uvloop.run(load(scene, callers, options))
    keep_samples(scene.directory / "samples.csv", samples)
    held = count_holds(scene.counters)
    scene.gateway.child.send_signal(signal.SIGTERM)
    exit_code = scene.gateway.child.wait(STOP_S)
    books = read_books(scene.directory / "gateway.db", scene.directory / "served", scene.log)
    faults = [*callers.seen.complaints, *find_faults(books, callers.seen.exchanges)]
    lost, regained = books.redis[LOST], books.redis[REGAINED]
    left = len(list((scene.directory / "journal").iterdir()))
    counted = ", ".join(f"{callers.seen.count[sort.name]} {sort.name}" for sort in SORTS)
    rows = [
        Row("exchanges", f"{len(callers.seen.exchanges)}: {counted}", "shown", is_met=True),
        Row("longest exchange, s", f"{callers.seen.slowest_s:.1f}", "shown", is_met=True),
        *judge_processes(samples, after),
        Row(
            "rows in the ledger",
            str(len(books.rows)),
            str(len(callers.seen.exchanges)),
            len(books.rows) == len(callers.seen.exchanges),
        ),
        Row("disagreements and unexplained lines", str(len(faults)), "0", not faults),
        Row("Redis late, and back", f"{lost}, {regained}", "as often", lost == regained),
        Row("places held afterwards", str(held), "0", not held),
        Row("journals left", str(left), "0", not left),
        Row("exit code", str(exit_code), "0", exit_code == 0),
    ]
    return rows, faults


def keep_samples(path: Path, samples: dict[int, list[Sample]]) -> None:
    """Write what was seen to a file, for whoever wants to draw it."""
    lines = [
        f"{one.at_s:.1f},{one.pid},{one.rss_bytes},{one.files},{one.tasks},{one.blocks}"
        for taken in samples.values()
        for one in taken
    ]
    path.write_text("\n".join(["at_s,pid,rss_bytes,files,tasks,blocks", *lines, ""]))


async def load(
    scene: Scene, callers: Callers, options: Options
) -> tuple[dict[int, list[Sample]], list[Sample]]:
    """Run the callers; the samples of each worker, and one of each when all is quiet."""
    workers = set(find_workers(scene.gateway.pid))
    samples: dict[int, list[Sample]] = {pid: [] for pid in sorted(workers)}
    began_s = time.monotonic()

    async def sample() -> list[Sample]:
        inside = await callers.look_inside(workers)
        at_s = time.monotonic() - began_s
        return [take_sample(at_s, pid, inside[pid]) for pid in samples]

    for one in await sample():
        samples[one.pid].append(one)
    running_callers = asyncio.ensure_future(callers.run())
    while not running_callers.done():
        await asyncio.wait([running_callers], timeout=options.every_s)
        if time.monotonic() - began_s < options.seconds:  # then they get fewer
            for one in await sample():
                samples[one.pid].append(one)
    await running_callers
    give_up_at = time.monotonic() + QUIET_S
    after = await sample()
    while time.monotonic() < give_up_at and not is_quiet(samples, after):
        await asyncio.sleep(0.2)  # what ends tells nobody
        after = await sample()
    return samples, after


def is_quiet(samples: dict[int, list[Sample]], after: Sequence[Sample]) -> bool:
    """Whether everything is as it was before."""
    first = {pid: taken[0] for pid, taken in samples.items()}
    return all(
        one.tasks <= first[one.pid].tasks and one.files <= first[one.pid].files for one in after
    )


def count_holds(address: str) -> int:
    """What Redis still holds for somebody; settlements are told in the background."""
    if not address:
        return 0
    client = redis.Redis.from_url(address)
    give_up_at = time.monotonic() + QUIET_S
    while (count := int(client.zcard(HOLDS))) and time.monotonic() < give_up_at:
        time.sleep(0.1)  # Redis tells nobody of it
    client.close()
    return count


if __name__ == "__main__":
    sys.exit(main())
