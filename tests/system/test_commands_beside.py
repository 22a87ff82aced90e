"""The commands of an operator beside a gateway that runs, each a process of its own.

The rule here: the embedded database, as it is found where nothing is set. What several processes do
with one file is the subject, so nothing is opened in this one.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from gateway.auth import stored_keys
from gateway.simulator import Simulator
from tests.plugins.gateway import StartGateway
from tests.system.test_stored_keys import ask, open_gateway

GATEWAY_KEYS = {"auth": [{"kind": "gateway_key"}], "profiles": {"source": "stored"}}


async def run(directory: Path, *arguments: str) -> str:
    """What one command prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "gateway", *arguments), cwd=directory, stdout=PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode().strip()


async def test_a_command_that_ends_leaves_the_gateway_its_database(
    start_gateway: StartGateway, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last to close an SQLite file deletes its log, and a command is never the last."""
    monkeypatch.setattr(stored_keys, "RENEW_S", 0.0)
    monkeypatch.setattr(stored_keys, "FRESH_S", 0.0)
    monkeypatch.setattr(stored_keys, "ANSWER_S", 10.0)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    gateway = await open_gateway(start_gateway, simulator, GATEWAY_KEYS)
    directory = gateway.directory

    alice = await run(directory, "keys", "create", "alice")
    assert await ask(gateway, alice) == (200, None)
    assert "alice" in await run(directory, "keys", "list")
    bob = await run(directory, "keys", "create", "bob")
    await run(directory, "keys", "disable", "alice")

    assert await ask(gateway, bob) == (200, None)
    assert await ask(gateway, alice) == (401, "unauthenticated")
    companion = directory / "gateway.db-wal"
    before = companion.stat().st_ino
    await run(directory, "usage")
    assert companion.stat().st_ino == before
