"""`gateway credentials` and `gateway keys reencrypt`, from the command line to the database."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from tests.plugins.stored_credentials import VALUE, encryption_key

PROFILES = "profiles: {source: stored}\n"
HOLDERS = "auth: [{kind: gateway_key}]\n"
ENVIRON = {f"KEY_{number}": encryption_key(number) for number in (1, 2)}


class Shell:
    """Somebody in a directory with a gateway.yaml."""

    def run(self, command: str, text: str | None = None) -> tuple[int, str, str]:
        """What a command of `gateway` gives: its code, its output, what else it says."""
        done = CliRunner().invoke(
            app, command.split(), input=text, env={"COLUMNS": "200", **ENVIRON}
        )
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert VALUE not in done.output
        return done.exit_code, done.stdout, done.stderr

    def listed(self, options: str = "") -> list[dict[str, object]]:
        """All that there are."""
        return json.loads(self.run(f"credentials list --format json {options}")[1])


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with settings that ask for stored credentials."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text(HOLDERS + PROFILES)
    return tmp_path


@pytest.fixture
def shell(directory: Path) -> Shell:  # noqa: ARG001 - for where it is
    """Somebody there."""
    return Shell()


def test_a_credential_is_set_listed_and_deleted(shell: Shell) -> None:
    """And printed nowhere."""
    assert shell.run("credentials set groq --tenant acme", f"{VALUE}\nmore\n")[0] == 0
    code, out, err = shell.run("credentials set azure --principal alice", f"  {VALUE} \n")
    assert (code, err) == (0, "")
    assert out.startswith("key:alice: azure_openai_api_key is set;")

    assert [(one["owner"], one["field"], one["last_four"]) for one in shell.listed()] == [
        ("key:alice", "azure_openai_api_key", VALUE[-4:]),
        ("tenant:acme", "groq_api_key", VALUE[-4:]),
    ]
    assert len(shell.listed("--tenant acme")) == 1
    assert shell.listed("--tenant nobody") == []
    assert f"…{VALUE[-4:]}" in shell.run("credentials list")[1]

    assert shell.run("credentials delete groq --tenant acme")[0] == 0
    code, _, err = shell.run("credentials delete groq --tenant acme")
    assert (code, err) == (1, "tenant:acme has no groq_api_key.\n")
    assert len(shell.listed()) == 1


def test_nothing_yet_is_said(shell: Shell) -> None:
    """An empty table is a puzzle."""
    assert "no such credentials" in shell.run("credentials list")[2]


@pytest.mark.parametrize("text", ["", "\n", "short\n", "sk-canary with blanks\n", "x" * 5000])
def test_what_cannot_be_a_credential_is_refused(shell: Shell, text: str) -> None:
    """Without repeating it."""
    code, out, err = shell.run("credentials set groq --tenant acme", text)

    assert (code, out) == (1, "")
    assert err.startswith("The credential must be ")
    assert "canary" not in err


def test_who_could_be_two_is_asked_after(shell: Shell, directory: Path) -> None:
    """The holder of a key and a user may have one name, and are not one."""
    token = "{kind: supabase_cookie, url: 'https://abc.supabase.co'}"
    (directory / "gateway.yaml").write_text(f"auth: [{{kind: gateway_key}}, {token}]\n{PROFILES}")
    command = "credentials set groq --principal alice"

    code, _, err = shell.run(command, f"{VALUE}\n")
    assert code == 2
    assert "--kind" in err
    for kind in ("key", "user"):
        assert shell.run(f"{command} --kind {kind}", f"{VALUE}\n")[0] == 0

    assert [one["owner"] for one in shell.listed()] == ["key:alice", "user:alice"]


def test_users_are_meant_where_there_are_no_others(shell: Shell, directory: Path) -> None:
    """A gateway behind a front end has no keys."""
    token = "{kind: supabase_cookie, url: 'https://abc.supabase.co'}"
    (directory / "gateway.yaml").write_text(f"auth: [{token}]\n{PROFILES}")

    shell.run("credentials set groq --principal alice", f"{VALUE}\n")

    assert [one["owner"] for one in shell.listed()] == ["user:alice"]


def test_a_gateway_that_would_not_ask_is_said(shell: Shell, directory: Path) -> None:
    """Otherwise the next thing is a key that is not found."""
    (directory / "gateway.yaml").write_text(HOLDERS)

    assert (
        "profiles: {source: stored}"
        in shell.run("credentials set groq --tenant acme", f"{VALUE}\n")[2]
    )


def test_a_key_is_replaced_by_the_next(shell: Shell, directory: Path) -> None:
    """Add a version, reencrypt, take the old one out."""
    written = HOLDERS + PROFILES + "stores: {encryption_keys: {1: '${KEY_1}'"
    (directory / "gateway.yaml").write_text(written + "}}\n")
    for tenant in ("acme", "other"):
        shell.run(f"credentials set groq --tenant {tenant}", f"{VALUE}\n")
    (directory / "gateway.yaml").write_text(written + ", 2: '${KEY_2}'}}\n")

    code, out, err = shell.run("keys reencrypt")

    assert (code, out) == (0, "2 credentials are now sealed with the encryption key 2.\n")
    assert err == "No credential needs the encryption key 1 any more, except in backups.\n"
    assert shell.run("keys reencrypt")[1].startswith("0 credentials")
    (directory / "gateway.yaml").write_text(written.replace("1: '${KEY_1}'", "2: '${KEY_2}'}}"))
    assert [one["encryption_key"] for one in shell.listed()] == [2, 2]


def test_a_single_credential_is_one(shell: Shell, directory: Path) -> None:
    """Whoever has one reads a sentence too."""
    written = HOLDERS + PROFILES + "stores: {encryption_keys: {1: '${KEY_1}'"
    (directory / "gateway.yaml").write_text(written + "}}\n")
    shell.run("credentials set groq --tenant acme", f"{VALUE}\n")
    (directory / "gateway.yaml").write_text(written + ", 2: '${KEY_2}'}}\n")

    assert shell.run("keys reencrypt")[1] == (
        "1 credential is now sealed with the encryption key 2.\n"
    )


def test_what_cannot_be_opened_is_said_and_the_rest_is_done(shell: Shell, directory: Path) -> None:
    """Exit code 1, and which one it is."""
    written = HOLDERS + PROFILES + "stores: {encryption_keys: {1: '${KEY_1}'"
    (directory / "gateway.yaml").write_text(written + "}}\n")
    for tenant in ("a", "b", "c"):
        shell.run(f"credentials set groq --tenant {tenant}", f"{VALUE}\n")
    connection = sqlite3.connect(directory / "gateway.db", isolation_level=None)
    connection.execute("UPDATE stored_credentials SET sealed = x'00' WHERE owner = 'tenant:b'")
    connection.close()
    (directory / "gateway.yaml").write_text(written + ", 2: '${KEY_2}'}}\n")

    code, out, err = shell.run("keys reencrypt")

    assert (code, out.split()[0]) == (1, "2")
    assert "groq_api_key of tenant:b does not open" in err
    code, _, err = shell.run("credentials list")
    assert code == 0
    assert "does not open" in err
