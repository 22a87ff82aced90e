"""`gateway keys`, from the command line to the database and back."""

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.core.gateway_key import is_key
from gateway.stores.tables import SCHEMA
from tests.plugins.postgresql import PostgresqlServer
from tests.plugins.stored_keys import ENVIRON, PEPPER

REGISTRY = "providers: {groq: {base_url: https://api.groq.com/openai/v1}}\n"
ASKS = "auth: [{kind: gateway_key}]\n"


class Shell:
    """Somebody in a directory with a gateway.yaml."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        self.environ = environ or {}

    def run(self, *arguments: str, text: str | None = None) -> tuple[int, str, str]:
        """What a command of `gateway keys` gives: its code, its output, what else it says."""
        done = CliRunner().invoke(
            app, ["keys", *arguments], input=text, env={"COLUMNS": "200", **self.environ}
        )
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    def create(self, name: str, *options: str) -> str:
        """Make a key."""
        code, out, err = self.run("create", name, *options)
        assert code == 0, err
        return out.removesuffix("\n")

    def show(self, name: str) -> dict[str, object]:
        """What the list has of a key."""
        keys = json.loads(self.run("list", "--format", "json")[1])
        return next(key for key in keys if key["name"] == name)


def expire(name: str) -> None:
    """Let a key have ended long ago."""
    with closing(sqlite3.connect("gateway.db", isolation_level=None)) as connection:
        connection.execute("UPDATE gateway_keys SET expires_at = 1 WHERE name = ?", (name,))


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with settings that ask for stored keys."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text(ASKS)
    return tmp_path


@pytest.fixture
def shell(directory: Path) -> Shell:  # noqa: ARG001 - for where it is
    """Somebody there."""
    return Shell()


def test_a_key_is_printed_once_alone_on_a_line(shell: Shell) -> None:
    """So that it can be piped into a secret manager."""
    code, out, err = shell.run("create", "alice")

    assert (code, out.count("\n")) == (0, 1)
    assert is_key(out.strip())
    assert err == "This is the key of alice; it is not shown again.\n"
    for command in (["list"], ["list", "--format", "json"], ["show", "alice"]):
        code, shown, _ = shell.run(*command)
        assert code == 0
        assert out[:8] in shown
        assert out[:9] not in shown


def test_a_gateway_that_would_not_ask_is_said(shell: Shell, directory: Path) -> None:
    """Otherwise the next thing is a 401 that nobody understands."""
    (directory / "gateway.yaml").write_text("")

    _, _, err = shell.run("create", "alice")

    assert "auth: [{kind: gateway_key}]" in err


def test_what_a_key_is_for_is_kept(shell: Shell) -> None:
    """In order, and each once."""
    shell.create(
        "alice",
        *("--tenant", "acme", "--group", "b", "--group", "a", "--group", "a"),
        *("--provider", "groq", "--model", "groq/x", "--model", "openrouter/openai/gpt-4o"),
        *("--network", "10.0.0.0/8", "--network", "2001:db8::/32", "--expires", "30d"),
    )

    found = shell.show("alice")

    assert found["state"] == "active"
    assert (found["tenant"], found["groups"]) == ("acme", ["a", "b"])
    assert found["providers"] == ["groq"]
    assert found["models"] == ["groq/x", "openrouter/openai/gpt-4o"]
    assert found["networks"] == ["10.0.0.0/8", "2001:db8::/32"]
    assert found["expires_at"] is not None


def test_a_key_that_could_never_work_is_not_made(shell: Shell, directory: Path) -> None:
    """Its end has come, or nothing that it is for is in the registry that is here."""
    (directory / "providers.yaml").write_text(REGISTRY)
    (directory / "broken.yaml").write_text("providers: 1")

    told = [
        shell.run("create", "alice", *options)
        for options in (
            ("--expires", "0s"),
            ("--provider", "gorq"),
            ("--model", "nothere/x"),
            ("--provider", "groq", "--providers", "broken.yaml"),
        )
    ]

    assert [(code, out) for code, out, _ in told] == [(2, ""), (2, ""), (2, ""), (1, "")]
    for (_, _, err), words in zip(
        told,
        ("has passed already", "did you mean groq?", "names nothere,", "broken.yaml:"),
        strict=True,
    ):
        assert words in err
    assert is_key(shell.create("alice", "--provider", "groq", "--model", "groq/any"))


def test_a_registry_that_cannot_be_read_keeps_nobody_from_a_key(
    shell: Shell, directory: Path
) -> None:
    """It may be the gateway's user's alone, or none is here: nobody can tell then."""
    shell.create("alice", "--provider", "nothere")
    (directory / "providers.yaml").write_text("providers: 1")

    shell.create("bob", "--provider", "nothere")


def test_a_name_is_given_once(shell: Shell) -> None:
    """With the command that was perhaps meant."""
    shell.create("alice")

    code, out, err = shell.run("create", "alice")

    assert (code, out) == (1, "")
    assert "gateway keys rotate alice" in err


def test_a_key_says_whose_it_is(shell: Shell) -> None:
    """Read from standard input, it is in no process list."""
    key = shell.create("alice")

    code, out, _ = shell.run("test", "-", text=f"{key}\n")

    assert code == 0
    assert "name        alice\nstate       active\n" in out
    assert key not in out
    assert shell.run("test", key)[0] == 0


def test_a_key_that_does_not_work_is_exit_code_1(shell: Shell) -> None:
    """For each reason a sentence of its own; and none repeats the key."""
    key = shell.create("alice")
    expired = shell.create("bob", "--expires", "1h")
    expire("bob")
    shell.run("disable", "alice")
    foreign = key[:-1] + ("a" if key[-1] != "a" else "b")

    results = [shell.run("test", one) for one in (key, expired, foreign)]

    assert [code for code, _, _ in results] == [1, 1, 1]
    assert "state       disabled" in results[0][1]
    assert "state       expired" in results[1][1]
    assert "checksum" in results[2][2]
    assert not any(one in out + err for _, out, err in results for one in (key, expired, foreign))


def test_a_rotated_key_works_beside_the_new_one(shell: Shell) -> None:
    """For as long as was said."""
    old = shell.create("alice")
    code, out, err = shell.run("rotate", "alice", "--overlap", "1h")
    new = out.strip()

    assert (code, is_key(new), new != old) == (0, True, True)
    assert "The old key of alice works until " in err
    assert [shell.run("test", key)[0] for key in (old, new)] == [0, 0]
    shell.run("rotate", "alice", "--overlap", "0s")
    assert [shell.run("test", key)[0] for key in (old, new)] == [1, 1]


def test_an_expired_key_is_not_rotated(shell: Shell) -> None:
    """What is handed out would never work, and nobody would know why."""
    shell.create("alice", "--expires", "1h")
    expire("alice")

    code, out, err = shell.run("rotate", "alice")

    assert (code, out) == (1, "")
    assert "alice has expired at 1970" in err
    assert len(shell.show("alice")["secrets"]) == 1


def test_an_overlap_is_no_longer_than_the_key(shell: Shell) -> None:
    """The sentence said a day, for a key that ends in an hour."""
    shell.create("alice", "--expires", "1h")

    _, _, err = shell.run("rotate", "alice", "--overlap", "24h")

    assert f"The old key of alice works until {shell.show('alice')['expires_at']}." in err


def test_a_disabled_key_stays_so(shell: Shell) -> None:
    """A second time does nothing, and a rotation does not bring it back."""
    shell.create("alice")

    assert "within ten seconds" in shell.run("disable", "alice")[1]
    assert "already" in shell.run("disable", "alice")[1]
    code, out, err = shell.run("rotate", "alice")
    assert (code, out) == (1, "")
    assert "disabled" in err


@pytest.mark.parametrize("command", ["show", "rotate", "disable"])
def test_a_name_that_is_not_there_is_said(shell: Shell, command: str) -> None:
    """With the command that lists them."""
    code, out, err = shell.run(command, "nobody")

    assert (code, out) == (1, "")
    assert "gateway keys list" in err


@pytest.mark.parametrize("command", ["create", "show", "rotate", "disable"])
def test_a_key_in_the_place_of_a_name_is_not_repeated(shell: Shell, command: str) -> None:
    """What a terminal shows is often kept; the message says which command takes a key."""
    key = shell.create("alice")

    code, out, err = shell.run(command, key)

    assert (code, out) == (2, "")
    assert key not in err
    assert "is a key, not the name" in " ".join(err.split())


def test_an_empty_list_is_no_mistake(shell: Shell) -> None:
    """And still JSON for programs."""
    assert shell.run("list") == (
        0,
        "",
        "There are no keys yet; `gateway keys create NAME` makes one.\n",
    )
    assert shell.run("list", "--format", "json")[1] == "[]\n"


def test_another_pepper_makes_new_keys_and_ends_none(shell: Shell, directory: Path) -> None:
    """A rotation of the pepper is a line in its file."""
    old = shell.create("alice")
    with (directory / "gateway.pepper").open("a") as file:
        file.write(f"2:{PEPPER}\n")

    new = shell.create("bob")

    assert [shell.run("test", key)[0] for key in (old, new)] == [0, 0]
    assert [shell.show(name)["secrets"][0]["pepper"] for name in ("alice", "bob")] == [1, 2]


def test_all_of_it_on_postgresql(
    directory: Path,
    postgresql: PostgresqlServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With everything in variables, and nothing of them in what is said or logged."""
    # A gateway that another test ran in this process has left its own, which prints.
    monkeypatch.setattr(logging.root, "handlers", [caplog.handler])
    caplog.set_level(logging.DEBUG)
    shell = Shell({"GATEWAY_DB": postgresql.make_database(), **ENVIRON})
    (directory / "gateway.yaml").write_text(
        f'{ASKS}stores: {{database: "${{GATEWAY_DB}}", peppers: {{1: "${{GATEWAY_PEPPER}}"}}}}\n'
    )
    code, out, err = shell.run("create", "alice")
    assert (code, out) == (1, "")
    assert "`gateway db upgrade` makes them" in err
    done = CliRunner().invoke(app, ["db", "upgrade"], env=shell.environ)
    assert done.stdout.startswith("postgresql:///gateway")
    assert done.stdout.endswith(f": schema {SCHEMA}, was empty\n")

    key = shell.create("alice", "--group", "a")
    new = shell.run("rotate", "alice")[1].strip()

    assert [shell.run("test", one)[0] for one in (key, new)] == [0, 0]
    assert shell.show("alice")["groups"] == ["a"]
    assert shell.run("disable", "alice")[0] == 0
    assert shell.run("test", key)[0] == 1
    assert not any(secret in caplog.text for secret in (key, new, PEPPER))
    assert list(directory.glob("gateway.p*")) == []
