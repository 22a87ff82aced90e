"""Tests of `gateway check`."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.cli.check import check, print_schema

GOOD = "providers: {mine: {base_url: 'https://llm.example.org/v1'}}\n"


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where no configuration is."""
    monkeypatch.chdir(tmp_path)


def test_nothing_is_printed_on_stdout_when_all_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts take any line there for a mistake."""
    Path("providers.yaml").write_text(GOOD)

    code = check([])

    assert (code, capsys.readouterr().out) == (0, "")


def test_the_files_of_the_directory_are_checked_when_none_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both files, each as what it is."""
    Path("providers.yaml").write_text("providers: {A: {base_url: 'https://llm.example.org/v1'}}\n")
    Path("gateway.yaml").write_text("server: {prt: 1}\n")

    code = check([])

    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert lines[0].startswith("providers.yaml:1:13: providers.A: needs to be lower-case")
    assert lines[1] == "gateway.yaml:1:10: server.prt: unknown key; did you mean port?"


def test_a_file_is_known_by_its_content_not_by_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Deployments call their files what they like."""
    Path("a.yaml").write_text(GOOD)
    Path("providers-settings.yaml").write_text("server: {port: 9000}\n")

    code = check([Path("a.yaml"), Path("providers-settings.yaml")])

    assert (code, capsys.readouterr().out) == (0, "")


def test_a_file_with_the_usual_name_is_what_it_is_called(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The start reads it as that; a block of the other file hides no mistake."""
    Path("gateway.yaml").write_text("server: {prt: 1}\n" + GOOD)
    Path("providers.yaml").write_text("server: {port: 9000}\n")

    code = check([])

    assert code == 1
    missing, *others = capsys.readouterr().out.splitlines()
    assert missing.startswith("providers.yaml:1:1: providers: is missing")
    assert others == [
        "providers.yaml:1:1: server: unknown key; it belongs in gateway.yaml",
        "gateway.yaml:1:10: server.prt: unknown key; did you mean port?",
        "gateway.yaml:2:1: providers: unknown key; it belongs in providers.yaml",
    ]


def test_a_pipe_is_checked_like_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """What a program has filled in is checked on its way: a second look found it empty."""
    for text, found in (
        (GOOD, ""),
        ("server: {port: 9}\nadmin: {port: 9}\n", "pipe:2:15: admin.port: server.port and"),
        ("server: {prt: 1}\n", "pipe:1:10: server.prt: unknown key"),
    ):
        pipe = Path("pipe")
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=(text,))
        writer.start()

        code = check([pipe])

        writer.join()
        pipe.unlink()
        said = capsys.readouterr()
        assert (code, said.out[: len(found)]) == (int(bool(found)), found)
        assert said.err == ("" if found else "pipe: no mistakes\n")


def test_a_link_that_leads_nowhere_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """It is not as if there were no file."""
    Path("gateway.yaml").symlink_to("gone")

    assert check([]) == 1
    assert capsys.readouterr().out.startswith("gateway.yaml:1:1: a link to gone, and there")


def test_a_missing_file_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """A check that checked nothing must not pass."""
    code = check([Path("none.yaml")])

    assert code == 1
    assert capsys.readouterr().out == "none.yaml:1:1: no such file; `gateway init` writes one\n"


def test_an_empty_directory_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """The gateway starts there too, with the registry that ships."""
    code = check([])

    assert code == 0
    assert "gateway init" in capsys.readouterr().out


@pytest.mark.parametrize("which", ["providers", "gateway"])
def test_the_schema_that_is_printed_is_json(which: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is piped into a file for an editor."""
    code = print_schema(which)

    assert code == 0
    assert json.loads(capsys.readouterr().out)["title"] == f"{which}.yaml"


def test_what_two_files_say_together_is_foreseen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """I11: a budget that refuses every model is no mistake, and nobody wants it."""
    registry, settings = tmp_path / "providers.yaml", tmp_path / "gateway.yaml"
    registry.write_text("providers: {mine: {base_url: 'https://llm.example.org/v1'}}")
    settings.write_text("limits: [{name: budget, on: everything, money_per_day: 5}]")

    assert check([registry, settings]) == 0

    assert "The rule budget counts money and refuses models without a price" in (
        capsys.readouterr().err
    )


def test_what_the_environment_lacks_is_foreseen(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the files are checked the secrets often are not, so that is no mistake of theirs."""
    Path("providers.yaml").write_text(
        "providers:\n  mine:\n    base_url: https://llm.example.org/v1\n"
        "    credential: file:/nowhere/mine.key\n"
    )

    code = check([])

    said = capsys.readouterr()
    assert (code, said.out) == (0, "")
    assert said.err.splitlines()[-1] == (
        "providers.yaml:4:17: providers.mine.credential: the file /nowhere/mine.key cannot be "
        "read: No such file or directory (the gateway would not start here)"
    )


def test_what_stops_the_start_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """A file without mistakes is one that the gateway starts with."""
    Path("providers.yaml").write_text(GOOD)
    Path("gateway.yaml").write_text(
        "server: {workers: 2}\n"
        "limits:\n"
        "  - {name: a, on: everything, requests_per_minute: 1, match: {provider: nine}}\n"
        "middleware:\n"
        "  - {use: 'plugins.hello:stamp', after: authentcate}\n"
        "tracing: {propagate_to: [mine, nine]}\n"
    )

    assert check([]) == 1
    first = capsys.readouterr().out.splitlines()
    text = Path("gateway.yaml").read_text().replace("authentcate", "authenticate")
    Path("gateway.yaml").write_text(text)
    assert check([]) == 1
    second = capsys.readouterr().out.splitlines()

    assert first == [
        "gateway.yaml:5:41: middleware[0].after: is not in the chain; did you mean authenticate?"
    ]
    assert [line[: line.index(": ", 20) + 1] for line in second] == [
        "gateway.yaml:1:19: server.workers:",
        "gateway.yaml:2:1: limits:",
        "gateway.yaml:6:25: tracing.propagate_to:",
    ]
    assert "did you mean mine?" in second[1]
    assert "stores.counters" not in second[0]
    assert "redis://" in second[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("server: {port: 8081}\n", "gateway.yaml:1:16: server.port"),
        ("admin:\n  port: 8080\n", "gateway.yaml:2:9: admin.port"),
        ("server: {port: 9000}\nadmin: {port: 9000}\n", "gateway.yaml:2:15: admin.port"),
    ],
)
def test_two_listeners_on_one_port_are_a_mistake(
    text: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it is written, though the other one may be a default."""
    Path("gateway.yaml").write_text(text)

    assert check([]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{place}: server.port and admin.port are both ")


@pytest.mark.parametrize("written", ["", "    credential: ${SPECIAL}\n"])
def test_a_listener_for_strangers_is_a_mistake_where_there_are_credentials(
    written: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that this environment has, and those that the file says there will be."""
    Path("providers.yaml").write_text(
        f"providers:\n  mine:\n    base_url: https://llm.example.org/v1\n{written}"
    )
    Path("gateway.yaml").write_text("server:\n  host: 0.0.0.0\n")
    monkeypatch.setenv("MINE_API_KEY", "sk-canary-1b")

    assert check([]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("gateway.yaml:2:9: server.host: server.host is 0.0.0.0, which other")
    assert "canary" not in line


def test_a_listener_for_strangers_is_right_where_nobody_pays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a credential there is nothing to spend."""
    Path("providers.yaml").write_text(GOOD)
    Path("gateway.yaml").write_text("server: {host: 0.0.0.0}\n")

    assert (check([]), capsys.readouterr().out) == (0, "")


def test_a_module_that_is_not_there_is_foreseen(capsys: pytest.CaptureFixture[str]) -> None:
    """It may be on the machine that the file is for; where it may be left out, nothing is said."""
    Path("mine_here.py").write_text("raise SystemExit('imported')\n")
    Path("gateway.yaml").write_text(
        "middleware:\n"
        "  - {use: 'nosuch.mod:fn', after: authenticate}\n"
        "  - {use: 'mine_here:fn', after: authenticate}\n"
        "  - {use: 'nosuch.mod:fn', after: authenticate, optional: true}\n"
    )

    code = check([])

    said = capsys.readouterr()
    assert (code, said.out) == (0, "")
    (note,) = said.err.splitlines()[1:]
    assert note == (
        "gateway.yaml:2:11: middleware[0].use: there is no module nosuch; it is looked for next to "
        "gateway.yaml and in the current directory (the gateway would not start here)"
    )


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("UTC", "no mistakes"),
        ("Europe/Paris", "knows no time zones but UTC; install its package tzdata"),
    ],
)
def test_a_machine_without_time_zones_has_utc(zone: str, said: str) -> None:
    """Small images have none, and most rules need none."""
    rule = f"{{name: a, on: everything, requests_per_minute: 5, time_zone: {zone}}}"
    Path("gateway.yaml").write_text(f"limits: [{rule}]\n", encoding="utf-8")
    without = "import sys; sys.modules['tzdata'] = None; from gateway.cli.main import main; main()"
    command = [sys.executable, "-c", without, "check", "gateway.yaml"]
    environ = os.environ | {"PYTHONTZPATH": "", "PYTHONPATH": os.pathsep.join(sys.path)}

    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
