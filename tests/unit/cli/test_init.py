"""Tests of `gateway init`."""

import re
from pathlib import Path

import pytest

from gateway.cli.check import check
from gateway.cli.init import init
from gateway.config.ledger import LedgerSpec
from gateway.config.load import load_registry, load_settings
from gateway.config.settings import Settings

ROOT = Path(__file__).parents[3]


def test_what_is_written_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first thing a new operator does after it is to start."""
    monkeypatch.chdir(tmp_path)

    code = init(Path())

    assert code == 0
    assert capsys.readouterr().out.endswith("Next: `gateway check`, then `gateway serve`.\n")
    assert check([]) == 0
    assert "demo" in load_registry(environ={}).providers
    assert load_settings() == Settings(ledger=LedgerSpec(enabled=False))


def test_a_file_that_is_there_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be the only copy of somebody's work."""
    (tmp_path / "providers.yaml").write_text("mine")

    code = init(tmp_path)

    assert code == 0
    assert (tmp_path / "providers.yaml").read_text() == "mine"
    assert "providers.yaml: exists already" in capsys.readouterr().out
    assert (tmp_path / "gateway.yaml").exists()


def test_the_files_are_the_owners_alone(tmp_path: Path) -> None:
    """A credential may be written only into such a file."""
    init(tmp_path)

    modes = [path.stat().st_mode & 0o777 for path in sorted(tmp_path.glob("*.yaml"))]

    assert modes == [0o600, 0o600]


def test_the_example_of_the_settings_is_written_beside_them(tmp_path: Path) -> None:
    """Its lines stand commented in gateway.yaml, and a wheel brings no `plugins`."""
    init(tmp_path)

    written = tmp_path / "plugins/hello.py"
    assert written.read_bytes() == (ROOT / "plugins/hello.py").read_bytes()
    (use,) = re.findall(r"- use: (\S+)", (tmp_path / "gateway.yaml").read_text())
    assert use == "plugins.hello:stamp"


def test_a_directory_of_ones_own_plugins_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all that is in it, and the example if somebody has made something of it."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/hello.py").write_text("mine")

    assert init(tmp_path) == 0

    assert (tmp_path / "plugins/hello.py").read_text() == "mine"
    assert "hello.py: exists already" in capsys.readouterr().out


def test_where_no_directory_can_be_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for a file called plugins."""
    (tmp_path / "plugins").touch()

    assert init(tmp_path) == 1
    assert "plugins: cannot be written" in capsys.readouterr().err


def test_a_directory_that_is_not_there_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With those above it, as `git init` does; and the next step leads into it."""
    monkeypatch.chdir(tmp_path)

    code = init(Path("new/my gateway"))

    assert code == 0
    assert (tmp_path / "new/my gateway/gateway.yaml").exists()
    assert "Next: `cd 'new/my gateway'`, then `gateway check`, then" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["file", "file/new"])
def test_where_a_file_is_there_is_no_directory(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for a typo."""
    (tmp_path / "file").touch()

    assert init(tmp_path / place) == 1
    assert f"{place}: cannot be written: " in capsys.readouterr().err


def test_every_setting_stands_in_the_template_with_its_default(tmp_path: Path) -> None:
    """A setting that is not there is not found."""
    init(tmp_path)
    text = (tmp_path / "gateway.yaml").read_text()

    for block in ("server", "admin", "stores", "commit", "logging"):
        for name, field in Settings.model_fields[block].get_default().model_dump().items():
            value = {"()": "[]", "None": "null", "True": "true"}.get(str(field), field)
            text_of_it = f'"{value}"' if name.endswith("_mode") else value  # octal is no number
            assert f"#   {name}: {text_of_it}" in text, name
