"""The parent's end of the load generator.

The rule here: one job at a time; what failed in it is counted for the report before anything else.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.jobs import Job, Outcome
from bench.machine import Cores
from bench.programs import Launch, Program, running


class Generator:
    """Runs jobs in the load generator's process."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._decoder = msgspec.json.Decoder(Outcome)

    def run(self, job: Job) -> Outcome:
        """What came of one job."""
        self.begin(job)
        return self.finish()

    def begin(self, job: Job) -> None:
        """Let it run a job; what came of it is read by `finish`."""
        child = self._program.child
        if child.stdin is None:
            raise ValueError("The load generator was started without pipes.")
        child.stdin.write(msgspec.json.encode(job) + b"\n")
        child.stdin.flush()

    def finish(self) -> Outcome:
        """What came of the job that was begun last."""
        child = self._program.child
        if child.stdout is None:
            raise ValueError("The load generator was started without pipes.")
        line = child.stdout.readline()
        if not line:
            child.wait()
            self._program.check()
        return self._decoder.decode(line)


@contextmanager
def run_generator(scratch: Path, cores: Cores) -> Iterator[Generator]:
    """Start the load generator beside the upstream."""
    command = [sys.executable, "-m", "bench.load"]
    launch = Launch("load", command, scratch / "load.log", cores.others, has_pipes=True)
    with running(launch) as program:
        yield Generator(program)
