"""The log of a process: where it goes, and what does not go there."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import threading, sys
from gateway.serving.process_log import open_log, print_banner
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

CRASH = (
    PROGRAM.partition("structlog.get_logger()")[0]
    + """
from gateway.serving.process_log import closing_log
with closing_log(log, (KeyError,)):
    if len(sys.argv) == 2:
        raise KeyError("expected")
    secret = "sk-proj-CanaryCanaryCanaryCanary"
    raise ValueError(f"Authorization: {secret}")
"""
)


def run(redirection: str = "", program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    """The output of a process with such a log."""
    return subprocess.run(
        ["bash", "-c", f'exec "{sys.executable}" -c "$PROGRAM" {redirection}'],
        env={"PROGRAM": program, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
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


@pytest.mark.parametrize(
    ("env", "commands"),
    [
        ({}, b"\x1b["),
        ({"NO_COLOR": "1"}, b""),
        ({"TERM": "dumb"}, b""),
        ({"NO_COLOR": ""}, b"\x1b["),
    ],
)
def test_colours_are_for_terminals_that_want_them(env: dict[str, str], commands: bytes) -> None:
    """A pager, an editor's terminal and somebody who cannot read them have none."""
    shown, terminal = pty.openpty()
    with os.fdopen(shown, "rb", buffering=0) as reader, os.fdopen(terminal, "wb") as output:
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "TERM": "xterm"} | env,
            stdout=output,
            timeout=30,
            check=True,
        )
        said = reader.read(65536)

    assert b"gateway.stopped" in said
    assert (b"\x1b[" if b"\x1b" in said else b"") == commands


def test_what_ends_a_process_is_a_line_of_the_log() -> None:
    """L01: Python would print it with what stands in it, where nobody cleans it."""
    done = run(program=CRASH)
    expected = run("expected", program=CRASH)

    [line] = map(json.loads, done.stdout.splitlines())
    assert (line["event"], line["level"]) == ("gateway.crashed", "critical")
    assert "ValueError" in line["exception"]
    assert "Canary" not in done.stdout + done.stderr
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "KeyError: 'expected'" in expected.stderr
