"""A limit of open files that is too low to start, and what is said of it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.serving.open_files import find_shortage

ROOT = Path(__file__).parents[3]
SERVE = "serve --port 0 --admin-port 0 --workers"


@pytest.mark.parametrize(
    ("files", "workers"), [(16, 1), (16, 2), (24, 2)], ids=["one", "supervisor", "worker"]
)
def test_a_limit_that_is_too_low_is_a_sentence(tmp_path: Path, files: int, workers: int) -> None:
    """It was a traceback of asyncio's in the log, and nobody saw which limit was meant."""
    started = subprocess.run(
        ["bash", "-c", f'ulimit -n {files}; exec "{sys.executable}" -m gateway {SERVE} {workers}'],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert started.returncode == 1
    assert started.stderr.startswith(f"The gateway did not start. The limit of {files} open files")
    assert started.stderr.count("\n") == 1
    assert "Traceback" not in started.stdout


def test_it_is_found_behind_what_came_of_it() -> None:
    """A loop that cannot be made raises something else about what it lacks."""
    short = RuntimeError("no loop")
    short.__context__ = ValueError()
    short.__context__.__cause__ = OSError(errno.EMFILE, "Too many open files")

    assert "ulimit -n" in str(find_shortage(short))


def test_another_error_is_none() -> None:
    """Its log line has to say what it is."""
    error = RuntimeError()
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")

    assert find_shortage(error) is None
