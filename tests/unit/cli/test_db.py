"""`gateway db`: the version, the health and a copy of the database."""

import shlex
import sqlite3
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.stores.tables import SCHEMA
from tests.house.tree import ROOT
from tests.plugins.postgresql import PostgresqlServer


def run(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """What a command gives."""
    done = CliRunner().invoke(app, [*arguments], env=environ)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go where nothing is yet."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_upgrade_says_what_it_did() -> None:
    """And the second one that there was nothing to do."""
    assert run("db", "upgrade") == (0, f"gateway.db: schema {SCHEMA}, was empty\n", "")
    assert run("db", "upgrade") == (0, f"gateway.db: schema {SCHEMA}, nothing to do\n", "")
    assert run("db", "check") == (0, f"gateway.db: schema {SCHEMA}, no damage found\n", "")


def test_a_check_makes_nothing(directory: Path) -> None:
    """It may be asked where no gateway ever ran."""
    code, out, err = run("db", "check")

    assert (code, out) == (1, "")
    assert "gateway keys create" in err
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("version", ["0001", "9999"])
def test_tables_of_another_version_stop_every_command(directory: Path, version: str) -> None:
    """Both versions are named (J15)."""
    run("db", "upgrade")
    connection = sqlite3.connect(directory / "gateway.db", isolation_level=None)
    connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.close()

    for command in (["db", "check"], ["keys", "list"], ["keys", "create", "alice"]):
        code, out, err = run(*command)
        assert (code, out) == (1, "")
        assert version in err
        assert SCHEMA in err
        assert "gateway db upgrade" in err


def test_a_schema_that_no_gateway_made_is_said_in_a_sentence(directory: Path) -> None:
    """By the upgrade too, which has no way from there."""
    run("db", "upgrade")
    connection = sqlite3.connect(directory / "gateway.db", isolation_level=None)
    connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()

    for command in (["db", "upgrade"], ["db", "check"], ["keys", "list"]):
        code, out, err = run(*command)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert f"has schema 0000, which no gateway made; this one needs {SCHEMA}" in err


def test_a_damaged_database_is_found(directory: Path) -> None:
    """Exit code 1, for a machine that looks every night."""
    run("db", "upgrade")
    connection = sqlite3.connect(directory / "gateway.db", isolation_level=None)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_master SET rootpage = 3 WHERE name = 'gateway_keys'")
    connection.close()

    code, _, err = run("db", "check")

    assert code == 1
    assert "damaged" in err
    # What a killed gateway left there belongs to the damaged file, and would damage the copy.
    assert "delete gateway.db-wal and gateway.db-shm" in err


def test_a_backup_can_be_used(directory: Path) -> None:
    """Put back, with its pepper, it knows every key."""
    key = run("keys", "create", "alice")[1].strip()

    code, out, err = run("db", "backup", "copy.db")
    (directory / "gateway.db").unlink()
    (directory / "copy.db").rename("gateway.db")

    assert (code, out) == (0, "copy.db: written\n")
    assert err.startswith("Keep gateway.pepper too, ")
    (directory / "gateway.encryption-keys").touch()
    assert "gateway.pepper and gateway.encryption-keys" in run("db", "backup", "again.db")[2]
    assert run("keys", "test", key)[0] == 0


def test_a_backup_is_put_back_as_the_page_says() -> None:
    """After a kill too: the log that it left behind would be written into the copy."""
    page = (ROOT / "docs" / "operate" / "ledger.md").read_text(encoding="utf-8")
    commands = page.partition("## Going back to a backup")[2].split("```")[1].partition("\n")[2]
    for name in ("alice", "bob"):
        run("keys", "create", name)
    run("db", "backup", "backup.db")
    connection = sqlite3.connect("gateway.db", isolation_level=None)
    connection.execute("CREATE TABLE much AS SELECT randomblob(100000) AS it")
    connection.execute("DELETE FROM gateway_keys")
    left = {f"gateway.db-{end}": Path(f"gateway.db-{end}").read_bytes() for end in ("wal", "shm")}
    connection.close()
    for name, content in left.items():  # as a gateway that was killed leaves them
        Path(name).write_bytes(content)

    subprocess.run(["bash", "-euc", commands.replace("gateway db check", "")], check=True)

    assert run("db", "check")[:2] == (0, f"gateway.db: schema {SCHEMA}, no damage found\n")
    assert "bob" in run("keys", "list")[1]


def test_a_backup_that_is_there_is_left_alone(directory: Path) -> None:
    """And exit code 1 says that none was made."""
    run("db", "upgrade")
    (directory / "copy.db").write_text("mine")

    code, _, err = run("db", "backup", "copy.db")

    assert (code, err) == (1, "copy.db: cannot be made: File exists\n")


def test_postgresql_is_backed_up_by_its_own_program(
    directory: Path, postgresql: PostgresqlServer
) -> None:
    """The line is given, without the password, and nothing is pretended."""
    (directory / "gateway.yaml").write_text('stores: {database: "${DB}"}\n')
    address = postgresql.make_database().replace("postgres:@", "postgres:canary@")

    code, out, err = run("db", "backup", "copy.dump", DB=address)

    assert (code, out) == (1, "")
    line = shlex.split(err.split("`")[1])
    assert line[:3] == ["pg_dump", "--format=custom", "--file=copy.dump"]
    assert line[3:] == [address.replace(":canary@", "@")]
    assert "canary" not in err
    assert run("db", "upgrade", DB=address)[0] == 0
    assert run("db", "check", DB=address)[0] == 0


def test_the_line_for_a_backup_is_about_the_same_server(directory: Path) -> None:
    """Another port is another server; without user and TLS it would be refused, or in the clear."""
    address = "postgresql://ga%40te:canary@db.example.org:6432/gate?ssl=verify-full&port=6433"
    (directory / "gateway.yaml").write_text('stores: {database: "${DB}"}\n')

    _, _, err = run("db", "backup", "a copy.dump", DB=address)

    assert shlex.split(err.split("`")[1])[2:] == [
        "--file=a copy.dump",
        "postgresql://ga%40te@db.example.org:6432/gate?sslmode=verify-full&port=6433",
    ]
