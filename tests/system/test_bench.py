"""`python -m bench` from end to end, at sizes that say nothing about speed.

The rule here: no time is asserted; that it measures what it says, counts and cleans up, is.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.accounting import find_tree, read_cpu_ns, read_rss_bytes
from bench.chains import list_chains
from bench.compare_chains import beside
from bench.compare_workers import ONE, TWO
from bench.counters import has_server
from bench.options import SUBJECTS

ROOT = Path(__file__).parents[2]
TINY = (
    *("--rounds", "1", "--seconds", "0.1", "--starts", "1"),
    *("--streams", "4", "--open-streams", "4", "--chunks", "5"),
    *("--turns", "1", "--keys", "1000"),
)
ROWS = ["nginx", "plain aiohttp relay", "gateway `/v1`", "gateway `/api/chat`"]
CHAINS = [
    row
    for chain in list_chains(1000, has_redis=has_server())
    if chain.yardstick
    for row in (beside(chain.yardstick, chain.row), chain.row)
]
RATIOS_AND_LIMITS = 11
INTERRUPTED = 130


def command(*options: str) -> list[str]:
    """How the benchmark is called."""
    return [sys.executable, "-m", "bench", *TINY, *options]


def table(report: str, heading: str) -> list[str]:
    """The lines of the table below a heading, without its head."""
    lines = report.partition(f"## {heading}")[2].strip().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    end = next((number for number, line in enumerate(lines[start:]) if not line), len(lines))
    return lines[start + 2 : start + end]


def rows(report: str, heading: str) -> list[str]:
    """The first column of that table."""
    return [line.split("|")[1].strip() for line in table(report, heading)]


def report_of(directory: Path, *options: str) -> str:
    """What a run reports, in which nothing may fail."""
    done = subprocess.run(
        command("--results", str(directory), *options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (report,) = (path.read_text(encoding="utf-8") for path in directory.iterdir())
    assert "0 failed" in report
    return report


@pytest.mark.usefixtures("nginx_path")
def test_the_benchmark_measures_every_system_and_every_target(tmp_path: Path) -> None:
    """A figure that silently went missing would be a promise that nobody checks."""
    of_many = {"chain", "workers"}  # gateways, which have tests of their own
    report = report_of(tmp_path, "--only", ",".join(one for one in SUBJECTS if one not in of_many))

    assert rows(report, "CPU time per str") == ROWS
    assert len(table(report, "Targets")) == RATIOS_AND_LIMITS


def test_the_benchmark_compares_every_chain(tmp_path: Path) -> None:
    """With all of keys, limits and ledger, or a promise would be kept by leaving something out."""
    report = report_of(tmp_path, "--only", "chain,workers", "--systems", "gateway")

    assert rows(report, "CPU time of the whole chain") == CHAINS
    assert rows(report, "One worker and two") == [ONE, TWO]
    assert len(table(report, "Targets")) == (9 if has_server() else 8)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    """A relay that was left running would spoil the next run, and everybody's machine."""
    options = ("--systems", "relay", "--seconds", "600", "--results", str(tmp_path))
    with subprocess.Popen(
        command(*options),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as bench:
        assert bench.stdout is not None
        first_line = bench.stdout.readline()  # everything runs by now
        started = find_tree(bench.pid)
        bench.send_signal(number)
        bench.wait()

    assert first_line.strip().startswith("chunk: ")
    assert bench.returncode == INTERRUPTED
    assert len(started) > 1
    assert [pid for pid in started if is_running(pid)] == []
    assert list(tmp_path.iterdir()) == []


def test_cpu_and_memory_of_a_process_are_read() -> None:
    """The wrong column of a file of the kernel would go unseen in a ratio."""
    own = (os.getpid(),)
    before_ns = read_cpu_ns(own)
    while read_cpu_ns(own) == before_ns:
        sum(range(10_000))

    assert read_cpu_ns(own) > before_ns
    assert read_rss_bytes(own) > 1024 * 1024


def is_running(pid: int) -> bool:
    """Whether there is a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
