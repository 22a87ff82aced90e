"""Gateways that start together on one new file all come up."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config.stores import DatabaseAddress
from gateway.stores.errors import StoreDownError
from gateway.stores.upgrade_lock import making

ROOT = Path(__file__).parents[3]

# Forked when all is loaded, so that the processes meet in the file and not in their imports.
STARTS_AT_ONCE = """
import asyncio, os, sys
from pathlib import Path
from gateway.config.stores import StoresSpec
from gateway.stores.opening import open_ledger_store
import gateway.stores.schema, gateway.stores.sql_ledger, alembic.command, alembic.config

async def start(file):
    store = await open_ledger_store(StoresSpec(database=f"sqlite:///{file}"), {}, timeout_s=0.2)
    await store.close()

failed = 0
for file in sys.argv[2:]:
    ready, go = os.pipe()
    children = []
    for _ in range(int(sys.argv[1])):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(ready, 1)  # ends when the parent closes its side, for all at once
            try:
                asyncio.run(start(file))
            except BaseException as error:
                print(type(error).__name__, error, flush=True)
                os._exit(1)
            os._exit(0)
        children.append(child)
    os.close(ready)
    os.close(go)
    failed += sum(os.waitpid(child, 0)[1] != 0 for child in children)
sys.exit(failed != 0)
"""

HOLD = """
import asyncio, sys
from pathlib import Path
from gateway.config.stores import DatabaseAddress
from gateway.stores.upgrade_lock import making

async def hold():
    async with making(DatabaseAddress(shown="x", file=Path(sys.argv[1]))):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


def address_of(file: Path) -> DatabaseAddress:
    """The address of a file."""
    return DatabaseAddress(shown=str(file), file=file)


def test_processes_that_start_at_once_all_come_up(tmp_path: Path) -> None:
    """None is told "database is locked" because another makes the tables, or the log (J10)."""
    files = [str(tmp_path / f"{number}.db") for number in range(3)]
    (tmp_path / "0.db").touch(mode=0o600)  # as whoever mounts one file into a container does

    done = subprocess.run(
        [sys.executable, "-c", STARTS_AT_ONCE, "6", *files],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


async def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    """And for no longer than it is told to."""
    address, order = address_of(tmp_path / "gateway.db"), []

    async def make(name: str) -> None:
        async with making(address):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    async with making(address):
        second = asyncio.ensure_future(make("second"))
        with pytest.raises(StoreDownError, match=r"gateway\.db: another process has been making"):
            async with making(address, wait_s=0.05):
                order.append("third begins")
        order.append("first ends")
    await second

    assert order == ["first ends", "second begins", "second ends"]


async def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    """A lock that is a file of its own would have to be removed by hand."""
    file = tmp_path / "gateway.db"
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(file), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    with pytest.raises(StoreDownError):
        async with making(address_of(file), wait_s=0.01):
            raise AssertionError("Two have it.")

    holder.kill()
    await holder.wait()

    async with making(address_of(file), wait_s=0.01):
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib's is the same, and refused here


@pytest.mark.parametrize("is_file", [True, False], ids=["no directory", "a server"])
async def test_where_nothing_can_be_locked_nobody_waits(tmp_path: Path, *, is_file: bool) -> None:
    """What is wrong with the place is said by whoever opens it."""
    file = tmp_path / "missing" / "gateway.db"
    server = DatabaseAddress(shown="db", url=SecretStr("postgresql://db/x"))
    address = address_of(file) if is_file else server

    async with making(address), making(address, wait_s=0.01):
        assert not file.parent.exists()
