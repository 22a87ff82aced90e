"""`python -m bench.soak` from end to end, for as long as it takes to see each sort of exchange.

The rule here: no growth is judged in seconds; that everything is booked as it happened is.
"""

import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.soak.books import find_faults, read_books
from bench.soak.judging import judge_processes, render
from bench.soak.samples import MEBIBYTE, Sample, find_trend
from bench.soak.sorts import FAULTS, SORTS, TEXT

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "bench.soak")
TINY = ("--seconds", "3", "--streams", "60", "--workers", "1", "--chunks", "20", "--gap", "0.01")

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="files and memory are read from /proc"
)


def samples(pid: int, *rss_mib: float, tasks: int = 10) -> list[Sample]:
    """One for each minute."""
    return [
        Sample(60.0 * minute, pid, int(mib * MEBIBYTE), files=50, tasks=tasks, blocks=1000)
        for minute, mib in enumerate(rss_mib)
    ]


def test_a_short_run_agrees_with_itself(tmp_path: Path) -> None:
    """K02, I04: caller, ledger, log and provider say the same of every exchange."""
    kept = tmp_path / "kept"
    done = subprocess.run(
        [*COMMAND, *TINY, "--keep", str(kept), "--every", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "too short to tell" in done.stdout
    books = read_books(kept / "gateway.db", kept / "served", kept / "log")
    outcomes = Counter(row["outcome"] for row in books.rows.values())
    assert outcomes["finished"] > len(books.rows) / 2
    assert set(outcomes) <= {sort.outcome for sort in SORTS}

    row = next(row for row in books.rows.values() if row["outcome"] == "finished")
    exchanges = {row["request_id"]: (TEXT, row["request_id"])}
    assert list(find_faults(books, exchanges))  # it knows nothing of the others


def test_what_is_missing_or_wrong_in_the_books_is_said(tmp_path: Path) -> None:
    """A run that finds nothing must be one that could have."""
    database = sqlite3.connect(tmp_path / "gateway.db")
    database.executescript(
        "CREATE TABLE ledger_exchanges (id, request_id, outcome, error_code);"
        "CREATE TABLE ledger_attempts (exchange_id, number, tokens_in, tokens_out);"
        "INSERT INTO ledger_exchanges VALUES"
        " (1, 'right', 'finished', ''), (2, 'lost', 'lost', ''), (3, 'tokens', 'finished', '');"
        "INSERT INTO ledger_attempts VALUES (1, 1, 10, 20), (2, 1, 10, 0), (3, 1, 10, 19);"
    )
    database.close()
    names = ("right", "lost", "tokens", "absent")
    line = '{{"name": "{}", "status": 200, "tokens": 20, "finished": true, "left": false}}\n'
    (tmp_path / "served").write_text("".join(map(line.format, names)))
    settled = '{{"event": "exchange.settled", "level": "info", "request_id": "{}"}}\n'
    failed = '{"event": "task.crashed", "level": "error"}\n'
    (tmp_path / "log").write_text("".join(map(settled.format, names)) + failed + "Traceback\n")

    books = read_books(tmp_path / "gateway.db", tmp_path / "served", tmp_path / "log")
    faults = "\n".join(find_faults(books, {name: (TEXT, name) for name in names}))

    assert "task.crashed" in faults
    assert "Traceback" in faults
    assert "absent (chat stream): is not in the ledger" in faults
    assert "lost (chat stream): is booked as lost" in faults
    assert "tokens (chat stream): 19 tokens are booked, 20 were sent" in faults
    assert "right (" not in faults


def test_a_process_that_grows_is_told_from_one_that_does_not() -> None:
    """After the warm-up, by the line through all samples."""
    growing = samples(1, 50, 90, *(100 + minute for minute in range(10)))
    steady = samples(2, 50, 90, *(100 + minute % 2 for minute in range(10)))
    leaking = samples(3, *[100.0] * 9, tasks=10) + samples(3, 100.0, tasks=900)[:1]
    after = [growing[0], steady[0], leaking[-1]]

    rows = judge_processes({1: growing, 2: steady, 3: leaking}, after)

    assert find_trend(growing, "rss_bytes").per_ten_minutes == pytest.approx(10 * MEBIBYTE)
    missed = [row.what for row in rows if not row.is_met]
    assert missed == ["worker 0: memory, MiB in 10 minutes", "worker 2: tasks"]
    assert "| NO " in render(rows)


def test_each_fault_is_two_in_a_hundred() -> None:
    """As the run that is published says."""
    assert len(FAULTS) == 4
    assert len(SORTS) == 7
