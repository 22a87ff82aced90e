"""From one process to the one that it starts."""

import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

from gateway.config.settings import Settings
from gateway.serving.handover import Handover

ROOT = Path(__file__).parents[3]
# What the collector has looked through at most, beside what will never be looked through again.
WATCHED = """
import gc
import pickle
import sys

call = pickle.load(sys.stdin.buffer)
print("pydantic" in sys.modules)
seen = [0]
gc.callbacks.append(lambda *_: seen.append(len(gc.get_objects())))
call()
print("pydantic" in sys.modules, gc.isenabled(), gc.get_freeze_count(), max(seen))
"""


def test_the_other_process_makes_the_call_with_the_sockets_that_it_was_given() -> None:
    """They are known by another number there."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = context.Process(target=Handover(socket.socket.sendall, theirs, b"here"))
        process.start()
        process.join()

        assert ours.recv(10) == b"here"
        assert process.exitcode == 0


def test_how_the_call_ends_is_how_the_process_ends() -> None:
    """The supervisor tells a refusal from a crash by it."""
    process = multiprocessing.get_context("spawn").Process(target=Handover(os._exit, 7))
    process.start()
    process.join()

    assert process.exitcode == 7


def test_no_garbage_is_looked_for_among_what_the_call_imports() -> None:
    """A worker imports as much as a gateway alone, and waits for it as long."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input=pickle.dumps(Handover(repr, Settings())),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    before, after, is_enabled, frozen, seen = done.stdout.decode().split()

    assert (before, after, is_enabled) == ("False", "True", "True")
    assert int(seen) < int(frozen) / 2
