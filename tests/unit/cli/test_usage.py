"""`gateway usage`, in its three forms."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.config.stores import StoresSpec
from gateway.ledger.journal import Journal
from gateway.ledger.places import Place, make_name
from gateway.stores.database import open_database
from gateway.stores.opening import open_ledger_store
from gateway.stores.schema import upgrade_schema
from gateway.stores.sql_ledger import SqlLedgerStore
from tests.plugins.ledgers import new_row
from tests.plugins.postgresql import PostgresqlServer
from tests.unit.ledger.conftest import write_whole

JOURNAL = make_name(1_700_000_000_000, "0123456789ab")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an operator stands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    done = CliRunner().invoke(app, ["usage", *words], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


async def save(directory: Path) -> None:
    """Two exchanges."""
    spec = StoresSpec(database=f"sqlite:///{directory / 'gateway.db'}")
    store = await open_ledger_store(spec, timeout_s=5)
    await store.save([new_row("p-1"), new_row("p-2", principal="bob")])
    await store.close()


async def upgrade_and_save(address: str) -> None:
    """One exchange, on a server."""
    spec = StoresSpec(database=address)
    database = open_database(spec.find_database({}), timeout_s=5)
    await upgrade_schema(database)
    store = SqlLedgerStore(database)
    await store.save([new_row("p-1")])
    await store.close()


def test_a_table_is_for_people(directory: Path) -> None:
    """One line for each sum."""
    asyncio.run(save(directory))

    code, out, err = run("--by", "principal", "--by", "model")

    assert (code, err) == (0, "")
    assert [line.split("│")[1].strip() for line in out.splitlines() if "│" in line] == [
        "alice",
        "bob",
    ]


def test_csv_and_json_are_for_programs(directory: Path) -> None:
    """The same sums."""
    asyncio.run(save(directory))

    _, written, _ = run("--by", "principal", "--format", "csv")
    _, answer, _ = run("--since", "2026-01-01", "--format", "json")

    assert written.splitlines()[1].startswith("alice,1,1,10,20,3,4,1.500000,")
    (usage,) = json.loads(answer)["usage"]
    assert (usage["requests"], usage["cost_micros"]) == (2, 3_000_000)


def test_what_a_running_gateway_has_not_brought_in_is_in_the_sums(directory: Path) -> None:
    """Who asks right after a request would doubt the ledger."""
    asyncio.run(save(directory))
    journal = Journal(Place.make(directory / "gateway.journal", "live"))
    write_whole(journal, new_row("p-2", principal="bob"), new_row("p-3"))

    code, written, err = run("--by", "principal", "--format", "csv")

    assert (code, err) == (0, "")
    assert [line[:8] for line in written.splitlines()[1:]] == ["alice,2,", "bob,1,1,"]
    assert journal.waiting == 2


def test_a_journal_that_cannot_be_read_is_said(directory: Path) -> None:
    """The sums are those of the database then."""
    asyncio.run(save(directory))
    (directory / "gateway.journal" / JOURNAL / "1.journal").mkdir(parents=True)

    code, written, err = run("--format", "csv")

    assert (code, written.splitlines()[1][:4]) == (0, "2,2,")
    assert "gateway.journal: cannot be read (Is a directory); exchanges that ended" in err


def test_a_database_that_takes_nothing_has_sums_all_the_same(
    directory: Path, postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only one, or one whose disk is full: just then somebody asks."""
    address = postgresql.make_database()
    asyncio.run(upgrade_and_save(address))
    name = address.partition("?")[0].rpartition("/")[2]
    postgresql.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on;")
    write_whole(Journal(Place.make(directory / "gateway.journal", "live")), new_row("p-2"))
    monkeypatch.setenv("DATABASE", address)
    (directory / "gateway.yaml").write_text('stores: {database: "${DATABASE}"}\n')

    code, written, err = run("--format", "csv")

    assert (code, written.splitlines()[1][:4]) == (0, "1,1,")
    assert "gateway.journal: cannot be brought in (postgresql:" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "principle"), "--by"),
        (("--since", "yesterday"), "--since"),
        (("--format", "xml"), "--format"),
    ],
)
def test_a_mistake_is_said(directory: Path, words: tuple[str, ...], said: str) -> None:  # noqa: ARG001 - to stand there
    """With the option that has it."""
    code, _, err = run(*words)

    assert code == 2
    assert said in err


def test_where_no_gateway_ran_nothing_is_made(directory: Path) -> None:
    """Looking changes nothing."""
    code, out, err = run()

    assert (code, out) == (1, "")
    assert "gateway.db does not exist yet" in err
    assert list(directory.iterdir()) == []
