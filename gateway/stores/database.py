"""A database: its engine, its transactions, and its errors turned into ours.

The rule here: whatever a driver raises leaves here as a StoreError. Readers never wait for each
other, and only one task of a process writes at a time.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import NoneType
from typing import Any, Final
from urllib.parse import quote

from pydantic import SecretStr
from sqlalchemy import URL, Connection, ExceptionContext, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.config.stores import DatabaseAddress
from gateway.core.dialect import Dialect
from gateway.core.exchange import Outcome
from gateway.core.extras import line_that_installs
from gateway.stores.errors import StoreDamagedError, StoreDeniedError, StoreDownError, StoreError
from gateway.stores.same_file import SameFile

OWNER_ONLY = 0o600
POOL_SIZE = 4
SUMS_S = 300.0  # the deadline of a query over a year of exchanges: a million take 5 s
POOL_WAIT_S = 0.5  # how long to wait for a connection; after that the store counts as down

# Python's message if no thread can be started; each connection to a file needs one.
NO_THREAD = "can't start new thread"

# PostgreSQL's error codes.
INSUFFICIENT_PRIVILEGE = "42501"
READ_ONLY = "25006"
QUERY_CANCELED = "57014"

_WRITES = "gateway_writes"
_POOL: Final = {
    "pool_size": POOL_SIZE,
    "max_overflow": 0,
    "pool_timeout": POOL_WAIT_S,
    # Firewalls and restarts end idle connections; no caller should be the one to find out.
    "pool_pre_ping": True,
}


class Database:
    """An open database; connections are made when they are needed."""

    def __init__(self, address: DatabaseAddress, engine: AsyncEngine, timeout_s: float) -> None:
        self.shown = address.shown
        self.is_sqlite = address.file is not None
        self._engine = engine
        self._timeout_s = timeout_s
        self._writer = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading."""
        with self._translated():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def look(self) -> AsyncIterator[AsyncConnection]:
        """A read-only connection, for a server that belongs to somebody else."""
        with self._translated():
            async with self._engine.connect() as connection:
                yield await connection.execution_options(postgresql_readonly=True)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction for writing, committed at the end or rolled back."""
        with self._translated():
            async with self._turn(), self._engine.connect() as connection:
                writing = await connection.execution_options(**{_WRITES: True})
                async with writing.begin():
                    yield writing

    async def close(self) -> None:
        """Let go of every connection."""
        with self._translated():
            await self._engine.dispose()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Become the one task that writes; TimeoutError if the queue does not move."""
        # If the server does not answer, each writer ahead of us waits out its own timeout.
        async with asyncio.timeout(self._timeout_s):
            await self._writer.acquire()
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            # `from None`: a driver's traceback may contain the address with its password.
            if _says_damage(error):
                raise StoreDamagedError(
                    f"{self.shown}: {_reason(error)}; go back to a backup, or move the file away "
                    "and begin a new one"
                ) from None
            kind = StoreDeniedError if _is_denied(error) else StoreDownError
            raise kind(f"{self.shown}: {_reason(error)}") from None
        except RuntimeError as error:
            if NO_THREAD not in str(error):  # a bug of ours
                raise
            raise StoreDownError(f"{self.shown}: {error}") from None


def open_database(address: DatabaseAddress, *, timeout_s: float) -> Database:
    """The database at an address; it does not connect yet.

    StoreError for a file that this user cannot read and write.
    """
    if address.file is not None:
        return Database(address, _open_sqlite(address.file, timeout_s), timeout_s)
    if address.url is None:
        raise StoreError(f"{address.shown}: no database")
    return Database(address, _open_postgresql(address.url, timeout_s), timeout_s)


def open_for_sums(address: DatabaseAddress, *, timeout_s: float) -> Database | None:
    """The same server, for rare queries that take long; None for a file, which has no deadline.

    Each query opens a connection of its own, which shows within `timeout_s` whether the server is
    there at all.
    """
    if address.url is None:
        return None
    engine = _open_postgresql(address.url, timeout_s, is_for_sums=True)
    return Database(address, engine, timeout_s)


def make_sqlite_file(address: DatabaseAddress) -> None:
    """Create an empty file that only its owner can use; SQLite gives its other files the same mode.

    An existing file is never opened here. Closing it would release the locks that SQLite holds for
    this process (POSIX), and the next process to exit would delete the log that we write to.
    """
    if address.file is None:
        return
    try:
        os.close(os.open(address.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(f"{address.file}: cannot be made: {error.strerror}") from None


def _open_sqlite(file: Path, timeout_s: float) -> AsyncEngine:
    # Checked here, because the driver leaves a thread behind if it cannot open a file.
    if not os.access(file, os.R_OK | os.W_OK):
        raise StoreError(f"{file}: is not there, or may not be read and written by this user.")
    # `rw`: a file that disappeared is an error, and must not become an empty database.
    url = URL.create(
        "sqlite+aiosqlite", database=f"file:{quote(str(file))}", query={"mode": "rw", "uri": "true"}
    )
    _register_adapters()
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        connect_args={"timeout": timeout_s},
    )
    SameFile(file).watch(engine)
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _register_adapters() -> None:
    # The driver looks for an adapter for every value that is not exactly a number or text. If there
    # is none, it raises and catches an error: 3 of the 13 µs of an exchange's rows.
    sqlite3.register_adapter(NoneType, _as_it_is)
    sqlite3.register_adapter(bool, int)
    for words in (Dialect, Outcome):
        sqlite3.register_adapter(words, str)


def _as_it_is(value: None) -> None:
    return value


def _set_up_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401 - a driver's, without a type
    connection.isolation_level = None  # we begin transactions in `_begin`, not the driver
    try:
        cursor = connection.cursor()
        # With WAL readers and the writer do not wait for each other. NORMAL loses nothing if the
        # process is killed.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        connection.close()  # SQLAlchemy does not close it, so its thread would stay
        raise


def _begin(connection: Connection) -> None:
    # A transaction that reads first and then writes fails at once if another process has written in
    # between, whatever the busy timeout. One that announces writing waits its turn.
    is_writing = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _open_postgresql(url: SecretStr, timeout_s: float, *, is_for_sums: bool = False) -> AsyncEngine:
    parts = make_url(url.get_secret_value()).set(drivername="postgresql+asyncpg")
    if "sslmode" in parts.query:  # libpq's name for it, used in every tutorial
        parts = parts.difference_update_query(["sslmode"]).update_query_dict(
            {"ssl": parts.query["sslmode"]}
        )
    try:
        engine = create_async_engine(
            parts,
            hide_parameters=True,
            **({"poolclass": NullPool} if is_for_sums else _POOL),
            connect_args={
                "timeout": timeout_s,
                "command_timeout": SUMS_S if is_for_sums else timeout_s,
                # A pooler that gives each transaction another server connection (Supabase,
                # pgbouncer) cannot find prepared statements by name.
                "statement_cache_size": 0,
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": str,  # an empty one
            },
        )
    except ArgumentError as error:  # hosts and ports that do not match
        raise StoreError(f"The address of the database cannot be used: {error}") from None
    except ModuleNotFoundError:
        raise StoreError(
            f"PostgreSQL needs the package asyncpg: {line_that_installs('postgres')}"
        ) from None
    event.listen(engine.sync_engine, "handle_error", _drop_outdated)
    return engine


def _drop_outdated(context: ExceptionContext) -> None:
    """Drop a connection that became read-only or whose statement was cancelled.

    A session keeps its server and the settings it began with. Only a new one notices that the
    database is writable again after a full disk or a failover.
    """
    code = getattr(context.original_exception, "sqlstate", None)
    if code in {READ_ONLY, QUERY_CANCELED}:
        context.is_disconnect = True  # which drops the pool's other connections too


def _is_denied(error: Exception) -> bool:
    driver = error.orig if isinstance(error, DBAPIError) else None
    return getattr(driver, "sqlstate", None) == INSUFFICIENT_PRIVILEGE


def _says_damage(error: Exception) -> bool:
    """Whether SQLite says that the file is damaged or not a database."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    code = getattr(error.orig.__cause__ or error.orig, "sqlite_errorcode", 0)
    return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}  # rest: details


def _reason(error: Exception) -> str:
    """What the driver says, without statement and parameters."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        driver = error.orig.__cause__ or error.orig
        return (str(driver).splitlines() or [type(driver).__name__])[0]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"no answer ({type(error).__name__})"
