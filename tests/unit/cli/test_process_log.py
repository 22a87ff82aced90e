"""The log of a process: where it goes, and what does not go there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import threading, sys
from gateway.cli.process_log import open_log, print_banner
from gateway.config.load import Registry
from gateway.config.settings import Settings
import structlog
log = open_log(Settings(), Registry({}, {}))
structlog.get_logger().info("gateway.stopped")
print_banner(["listening    somewhere", "try it"], log)
def die():
    raise ValueError("Bearer sk-proj-CanaryCanaryCanaryCanary")
dying = threading.Thread(target=die, name="dying")
dying.start()
dying.join()
log.close(1)
"""


def run(redirection: str = "") -> subprocess.CompletedProcess[str]:
    """The output of a process with such a log."""
    return subprocess.run(
        ["bash", "-c", f'exec "{sys.executable}" -c "$PROGRAM" {redirection}'],
        env={"PROGRAM": PROGRAM, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_each_line_of_standard_output_is_one_of_the_log() -> None:
    """A program reads it; what is for people goes beside it. A thread's last words are cleaned."""
    done = run()

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["gateway.stopped", "thread.crashed"]
    assert lines[1]["thread"] == "dying"
    assert "CanaryCanary" not in done.stdout + done.stderr
    assert (done.returncode, done.stderr) == (0, "listening    somewhere\ntry it\n")


@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", "> /dev/full", "> >(true)"])
def test_without_an_output_it_runs_all_the_same(redirection: str) -> None:
    """Closed (the next socket would have its number), full, or with a reader who has gone."""
    assert run(redirection).returncode == 0
