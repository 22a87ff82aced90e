"""A database: who waits for whom, and what is said when it fails."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from gateway.config.stores import DatabaseAddress
from gateway.core.extras import line_that_installs
from gateway.stores.database import make_sqlite_file, open_database
from gateway.stores.errors import StoreDamagedError, StoreDownError, StoreError
from tests.plugins.postgresql import PostgresqlServer

PASSWORD = "canary-password"
WITHOUT_ASYNCPG = """
import sys
sys.modules["asyncpg"] = None  # as where the extra is not installed
from pydantic import SecretStr
from gateway.config.stores import DatabaseAddress
from gateway.stores.database import open_database
url = SecretStr("postgresql://gateway@db.example.org/gateway")
open_database(DatabaseAddress(shown="db.example.org", url=url), timeout_s=5)
"""


@pytest.fixture
def address(tmp_path: Path) -> DatabaseAddress:
    """A file with one table."""
    file = tmp_path / "a%20b?#.db"
    made = DatabaseAddress(shown=str(file), file=file)
    make_sqlite_file(made)
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
    connection.close()
    return made


async def test_what_is_written_is_there_or_not(address: DatabaseAddress) -> None:
    """All of a transaction or nothing of it."""
    database = open_database(address, timeout_s=5)
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1)"))

    async def fail() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO t VALUES (2)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    async with database.read() as connection:
        assert (await connection.scalars(text("SELECT n FROM t"))).all() == [1]
    await database.close()


async def test_a_file_is_in_wal_and_its_owners_alone(address: DatabaseAddress) -> None:
    """Its companions too."""
    database = open_database(address, timeout_s=5)
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1)"))
        mode = await connection.scalar(text("PRAGMA journal_mode"))
    assert address.file is not None

    files = list(address.file.parent.iterdir())

    assert (mode, len(files)) == ("wal", 3)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    await database.close()


async def test_another_process_that_closes_it_leaves_the_files_of_those_who_go_on(
    address: DatabaseAddress,
) -> None:
    """Each store of a process makes sure of the file, and closing it ends that process's locks.

    Whoever comes next would take itself for the last, and delete what the others write into.
    """
    database = open_database(address, timeout_s=5)
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1)"))
    make_sqlite_file(address)

    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute(sys.argv[2]))"
    command = (sys.executable, "-c", script + "; c.close()", str(address.file))
    count = "SELECT count(*) FROM t"
    before = await asyncio.create_subprocess_exec(*command, count, stdout=PIPE)
    assert await before.communicate() == (b"(1,)\n", None)
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (2)"))
    after = await asyncio.create_subprocess_exec(*command, count, stdout=PIPE)

    assert await after.communicate() == (b"(2,)\n", None)
    await database.close()


async def test_reading_does_not_wait_for_another_process_that_writes(
    address: DatabaseAddress,
) -> None:
    """And writing waits its turn, then says so (J10)."""
    database = open_database(address, timeout_s=0.05)
    async with database.read():
        pass  # the file is in WAL from here on
    assert address.file is not None
    other = sqlite3.connect(address.file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    async with database.read() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM t")) == 0
    with pytest.raises(StoreDownError, match="database is locked"):
        async with database.write():
            pass
    other.execute("COMMIT")
    other.close()
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1)"))
    await database.close()


async def test_nobody_stands_in_a_line_that_stands(address: DatabaseAddress) -> None:
    """Behind a server that answers nobody each would wait for all of those before (J07)."""
    database = open_database(address, timeout_s=0.05)

    async def add(number: int) -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": number})

    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1)"))
        async with asyncio.timeout(10):
            heard = await asyncio.gather(*map(add, (2, 3)), return_exceptions=True)
    await add(4)

    assert [type(error) for error in heard] == [StoreDownError] * 2
    async with database.read() as connection:
        assert (await connection.scalars(text("SELECT n FROM t"))).all() == [1, 4]
    await database.close()


async def test_a_writer_that_read_first_is_not_turned_away(address: DatabaseAddress) -> None:
    """Each reads before it writes: as deferred transactions, all but one would fail at once."""
    databases = [open_database(address, timeout_s=5) for _ in range(2)]

    async def count_up(number: int) -> None:
        async with databases[number % 2].write() as connection:
            seen = await connection.scalar(text("SELECT count(*) FROM t"))
            await connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": seen})

    await asyncio.gather(*(count_up(number) for number in range(10)))

    async with databases[0].read() as connection:
        found = (await connection.scalars(text("SELECT n FROM t ORDER BY n"))).all()
    assert found == list(range(10))
    for database in databases:
        await database.close()


async def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    """With its name, and without a traceback (J13)."""
    file = tmp_path / "gateway.db"
    file.write_bytes(b"this is no database at all" * 100)
    database = open_database(DatabaseAddress(shown="gateway.db", file=file), timeout_s=1)

    with pytest.raises(StoreDamagedError, match=r"gateway\.db: file is not a database; go back"):
        async with database.read():
            pass
    await database.close()


async def test_where_no_thread_is_left_the_file_does_not_answer(address: DatabaseAddress) -> None:
    """Each connection to a file is a thread; as a mistake of ours it would end who writes there."""
    database = open_database(address, timeout_s=5)
    before = threading.stack_size(1 << 47)  # more than any machine has
    try:
        with pytest.raises(StoreDownError, match="thread"):
            async with database.write():
                pass
    finally:
        threading.stack_size(before)

    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1)"))
    await database.close()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """And not made: an empty database would know no key."""
    file = tmp_path / "gateway.db"

    with pytest.raises(StoreError, match="is not there"):
        open_database(DatabaseAddress(shown="gateway.db", file=file), timeout_s=1)
    assert not file.exists()


def test_a_file_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """As where its directory is missing."""
    file = tmp_path / "none" / "gateway.db"

    with pytest.raises(StoreError, match="cannot be made: No such file"):
        make_sqlite_file(DatabaseAddress(shown=str(file), file=file))


async def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    """The address in the message is the part that may be seen (J07)."""
    url = SecretStr(f"postgresql://gw:{PASSWORD}@127.0.0.1:1/gateway?sslmode=disable")
    database = open_database(
        DatabaseAddress(shown="postgresql://127.0.0.1/gateway", url=url), timeout_s=1
    )

    with pytest.raises(StoreDownError, match=r"^postgresql://127\.0\.0\.1/gateway: ") as refused:
        async with database.read():
            pass

    assert refused.value.__cause__ is None
    assert PASSWORD not in repr(refused.value) + repr(vars(database))
    await database.close()


async def test_a_database_that_is_not_there_is_said_in_the_server_s_words(
    postgresql: PostgresqlServer,
) -> None:
    """They name what to mend."""
    url = postgresql.make_database().replace("/gateway", "/nowhere", 1)
    database = open_database(DatabaseAddress(shown="pg", url=SecretStr(url)), timeout_s=5)

    with pytest.raises(StoreDownError, match=r'^pg: database "nowhere\d+" does not exist$'):
        async with database.read():
            pass
    await database.close()


async def test_connections_that_a_server_ended_are_replaced(
    postgresql: PostgresqlServer,
) -> None:
    """After a restart or a failover the next question is answered (J07)."""
    url = SecretStr(postgresql.make_database())
    database = open_database(DatabaseAddress(shown="pg", url=url), timeout_s=5)
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))

    postgresql.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'gateway%';"
    )
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await database.close()


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("default_transaction_read_only", "on", "read-only transaction"),
        ("statement_timeout", "'1ms'", "statement timeout"),
    ],
)
async def test_a_database_that_was_restricted_is_used_again_when_that_is_over(
    postgresql: PostgresqlServer, setting: str, value: str, said: str
) -> None:
    """A session keeps what it was told at its start: the ledger wrote no row until a restart."""
    address = postgresql.make_database()
    name = address.partition("?")[0].rpartition("/")[2]
    database = open_database(DatabaseAddress(shown="pg", url=SecretStr(address)), timeout_s=5)
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER)"))
    slow_insert = text("INSERT INTO t SELECT count(*) FROM generate_series(1, 100000)")

    postgresql.run(f"ALTER DATABASE {name} SET {setting} = {value};")
    postgresql.end_connections(address)
    with pytest.raises(StoreDownError, match=said):
        async with database.write() as connection:
            await connection.execute(slow_insert)
    postgresql.run(f"ALTER DATABASE {name} RESET {setting};")

    async with database.write() as connection:
        await connection.execute(slow_insert)
    await database.close()


async def test_no_statement_has_a_name_at_the_server(postgresql: PostgresqlServer) -> None:
    """A pooler gives the next transaction another connection, on which that name is not known."""
    url = SecretStr(postgresql.make_database())
    database = open_database(DatabaseAddress(shown="pg", url=url), timeout_s=5)
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER)"))
        await connection.execute(text("INSERT INTO t VALUES (:n)"), [{"n": 1}, {"n": 2}])

    for n in (1, 2):
        async with database.read() as connection:
            found = await connection.scalar(text("SELECT n FROM t WHERE n = :n"), {"n": n})
            named = await connection.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
        assert (found, named) == (n, 0)
    await database.close()


async def test_a_frozen_server_is_given_up(postgresql: PostgresqlServer) -> None:
    """In the time that was set, and it is well again when it goes on (J07)."""
    url = SecretStr(postgresql.make_database())
    database = open_database(DatabaseAddress(shown="pg", url=url), timeout_s=0.2)
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))

    postgresql.freeze()
    try:
        async with asyncio.timeout(10):
            with pytest.raises(StoreDownError, match=r"no answer|closed"):
                async with database.read() as connection:
                    await connection.execute(text("SELECT 1"))
    finally:
        postgresql.thaw()

    async with database.read() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await database.close()


def test_hosts_and_ports_that_do_not_go_together_are_said() -> None:
    """In a sentence."""
    url = SecretStr(f"postgresql://gw:{PASSWORD}@/gateway?host=a,b&port=1,2,3")

    with pytest.raises(StoreError, match="cannot be used: number of hosts and ports") as refused:
        open_database(DatabaseAddress(shown="pg", url=url), timeout_s=1)
    assert PASSWORD not in str(refused.value)


def test_no_address_is_an_error() -> None:
    """It cannot come from the settings."""
    with pytest.raises(StoreError, match="no database"):
        open_database(DatabaseAddress(shown="nothing"), timeout_s=1)


def test_a_missing_driver_says_what_to_install() -> None:
    """The default install has none for PostgreSQL."""
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_ASYNCPG], capture_output=True, text=True, check=False
    )

    assert line_that_installs("postgres") in ended.stderr
    assert "StoreError" in ended.stderr
