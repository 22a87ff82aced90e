"""`gateway logs`, from files to what is printed."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from typer.testing import CliRunner

from gateway.cli.logs import LAST_LINES, show_lines
from gateway.cli.logs_question import Asked, read_question
from gateway.cli.main import app
from tests.house.tree import ROOT
from tests.plugins.log_lines import other, settled, written

LINES = [
    other("gateway.started", "2026-11-28T11:00:00.000Z", worker=0),
    settled("2026-11-28T12:00:00.000Z"),
    settled("2026-11-28T13:00:00.000Z", status=502, outcome="upstream_failed", provider="openai"),
    settled("2026-11-28T14:00:00.000Z", first_content_s=3.0),
]
END_S = 30


class EndedError(Exception):
    """Nothing more happens."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give a log with a banner, half a line and a blank one."""
    path = tmp_path / "gateway.log"
    path.write_bytes(b"listening  http://127.0.0.1:8080\n\n" + written(*LINES) + b'{"timestamp":')
    return path


def run(*words: object, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    done = CliRunner(env=env).invoke(app, ["logs", *map(str, words)], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def hours(out: str) -> list[int]:
    """Give the hour of each line."""
    return [int(json.loads(line)["timestamp"][11:13]) for line in out.splitlines()]


def test_lines_are_printed_and_the_rest_is_counted(log: Path) -> None:
    """A banner and half a line are part of every log."""
    code, out, err = run(log)

    assert (code, hours(out)) == (0, [11, 12, 13, 14])
    assert "2 of 6 lines were skipped" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["outcome!=finished"], [13]),
        (["provider=groq", "event=exchange.settled"], [12, 14]),
        (["--slow", "2s"], [14]),
        (["--since", "2026-11-28T13:00"], [13, 14]),
        (["--until", "2026-11-28T13:00"], [11, 12]),
        (["--limit", "2"], [13, 14]),
        (["-n", "1", "outcome=finished", "--until", "2026-11-28T14:00"], [12]),
        (["provider=nobody"], []),
    ],
)
def test_lines_are_chosen(log: Path, words: list[str], expected: list[int]) -> None:
    """All of it has to hold; of what is left the last are kept."""
    assert hours(run(log, *words)[1]) == expected


def test_formats_are_for_people_and_for_programs(log: Path) -> None:
    """Outside a terminal it is JSON, as the gateway itself writes then."""
    assert run(log, "-n", 1)[1] == written(LINES[-1]).decode()
    assert " 200 finished provider=groq" in run(log, "-n", 1, "--format", "console")[1]
    assert " outcome=finished " in run(log, "-n", 1, "--format", "logfmt")[1]


def test_colours_are_for_terminals(log: Path) -> None:
    """And for nobody who says so."""
    assert "\x1b" not in run(log, "--format", "console")[1]
    assert "\x1b[32m" in run(log, env={"FORCE_COLOR": "1", "TERM": "xterm"})[1]
    assert "\x1b" not in run(log, env={"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": "1"})[1]


def test_a_rotated_log_is_read_from_its_oldest_file(log: Path) -> None:
    """Three files, one log."""
    log.write_bytes(written(LINES[3]))
    log.with_name("gateway.log.1").write_bytes(written(LINES[2]))
    log.with_name("gateway.log.2.gz").write_bytes(gzip.compress(written(*LINES[:2])))

    assert hours(run(log, "--rotated")[1]) == [11, 12, 13, 14]
    assert hours(run(*log.parent.glob("gateway.log*"))[1]) == [11, 12, 13, 14]
    assert hours(run(log)[1]) == [14]


def test_a_damaged_file_is_read_as_far_as_it_goes(log: Path) -> None:
    """And the next one after it."""
    old = log.with_name("gateway.log.1.gz")
    first = other("gateway.started", "2026-11-27T11:00:00.000Z")
    old.write_bytes(gzip.compress(written(first, settled(path=os.urandom(99).hex())))[:-30])

    code, out, err = run(log, old)

    assert (code, hours(out)) == (0, [11, 11, 12, 13, 14])
    assert f"{old} is cut short or damaged" in err


def test_a_log_of_text_says_how_it_becomes_one_of_json(log: Path) -> None:
    """The format is chosen where the log is written."""
    log.write_text("2026-11-28 [info] exchange.settled status=200\n")

    assert "logging.format: json" in run(log)[2]


def test_what_is_not_there_is_said(log: Path) -> None:
    """In one sentence, before anything is printed."""
    code, out, err = run(log, log.with_name("other.log"))

    assert (code, out) == (1, "")
    assert err == f"{log.with_name('other.log')} is not there.\n"


@pytest.mark.parametrize("words", [["-f"], ["--rotated"], []])
def test_a_directory_or_a_name_that_is_none_is_said(log: Path, words: list[str]) -> None:
    """In a sentence, not with a traceback."""
    code, out, err = run(*words, log.parent)
    too_long = run(*words[:-1], "x" * 300)

    assert (code, out) == (1, "")
    assert err == f"{log.parent} is a directory; name the files in it.\n"
    assert too_long[0] == 1
    assert too_long[2].endswith("cannot be read: file name too long.\n")


def test_a_summary_is_a_table(log: Path) -> None:
    """For whoever has no dashboard."""
    code, out, _ = run(log, "--by", "provider")

    cells = [line.replace(" ", "") for line in out.splitlines() if line.startswith("│")]
    assert code == 0
    assert cells[0].startswith("│groq│2│100.0%│")
    assert cells[1].startswith("│openai│1│0.0%│")


def test_a_summary_is_json_for_programs(log: Path) -> None:
    """One object."""
    summary = json.loads(run(log, "--summary", "--format", "json")[1])

    assert (summary["lines"], summary["foreign"]) == (6, 2)
    assert summary["groups"][0]["exchanges"] == 3


def test_following_begins_with_the_last_lines_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever looks sees how it was going, and then how it goes."""
    path = tmp_path / "gateway.log"
    path.write_bytes(written(*[settled(chunks=number) for number in range(LAST_LINES + 5)]))
    happenings: Iterator[int] = iter([100, 101])

    def wait() -> None:
        number = next(happenings, None)
        if number is None:
            raise EndedError
        with path.open("ab") as file:
            file.write(written(settled(chunks=number)) + written(other("gateway.draining")))

    words = [str(path), "event=exchange.settled"]
    question = read_question(Asked(words=words, follow=True, form="json"))

    with pytest.raises(EndedError):
        show_lines(question, wait)

    chunks = [json.loads(line)["chunks"] for line in capsys.readouterr().out.splitlines()]
    assert chunks == [*range(5, LAST_LINES + 5), 100, 101]


@pytest.mark.parametrize(
    ("asked", "expected"), [({"limit": 2}, [3, 4]), ({"since": "1d"}, [0, 1, 2, 3, 4])]
)
def test_following_begins_where_it_is_told_to(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    asked: dict[str, object],
    expected: list[int],
) -> None:
    """With so many, or with all of a time."""
    path = tmp_path / "gateway.log"
    path.write_bytes(
        written(*[settled("2126-01-01T00:00:00.000Z", chunks=number) for number in range(5)])
    )

    def wait() -> None:
        raise EndedError

    with pytest.raises(EndedError):
        show_lines(
            read_question(Asked(words=[str(path)], follow=True, form="json", **asked)),  # type: ignore[arg-type] # of some
            wait,
        )

    out = capsys.readouterr().out
    assert [json.loads(line)["chunks"] for line in out.splitlines()] == expected


def test_following_a_rotated_log_reads_the_old_files_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`-f -r --since 1h`: what was rotated away meanwhile is part of that hour."""
    path = tmp_path / "gateway.log"
    path.write_bytes(written(settled(chunks=2)) + b"x" * 300_000)  # more than is read at once
    path.with_name("gateway.log.1").write_bytes(
        written(settled("2026-11-27T12:00:00.000Z", chunks=1))
    )
    path.with_name("gateway.log.2.gz").write_bytes(
        gzip.compress(written(settled("2026-11-26T12:00:00.000Z", chunks=0)))
    )
    happenings = iter([b"\n" + written(settled(chunks=3))])

    def wait() -> None:
        more = next(happenings, None)
        if more is None:
            raise EndedError
        with path.open("ab") as file:
            file.write(more)

    asked = Asked(words=[str(path)], follow=True, rotated=True, form="json", limit=2)
    with pytest.raises(EndedError):
        show_lines(read_question(asked), wait)

    out = capsys.readouterr().out
    assert [json.loads(line)["chunks"] for line in out.splitlines()] == [1, 2, 3]


@contextmanager
def started(*words: object, stdin: int | IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command as a shell would."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "logs", *map(str, words)],
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def read_line(running: subprocess.Popen[bytes]) -> bytes:
    """Wait for a line."""
    assert running.stdout is not None
    return running.stdout.readline().rstrip(b"\n")


def test_whoever_stops_reading_is_not_told_off(tmp_path: Path) -> None:
    """`gateway logs | head`, also under `set -o pipefail`."""
    path = tmp_path / "gateway.log"
    path.write_bytes(written(*[settled(chunks=number) for number in range(5000)]))

    with path.open("rb") as file, started(stdin=file) as running:
        first = read_line(running)
        assert running.stdout is not None
        running.stdout.close()
        code = running.wait(END_S)
        assert running.stderr is not None
        said = running.stderr.read()

    assert json.loads(first)["chunks"] == 0
    assert (code, said) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [(), ("--summary",)])
def test_an_output_that_takes_nothing_is_said(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A full disk; and for the summary, whoever reads it may have gone as well."""
    path = tmp_path / "gateway.log"
    path.write_bytes(written(settled(model="Grüße")))
    command = [sys.executable, "-m", "gateway", "logs", str(path), *words]
    reader, writer = os.pipe()
    os.close(reader)

    with Path("/dev/full").open("wb") as full:
        failed = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False)
    unread = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    shown = subprocess.run(
        command, cwd=ROOT, capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii"}
    )

    assert (failed.returncode, failed.stderr) == (
        1,
        b"The output cannot be written: no space left on device.\n",
    )
    assert (unread.returncode, unread.stderr) == (0, b"")
    assert shown.returncode == 0
    assert bool(words) or json.loads(shown.stdout)["model"] == "Grüße"


def test_what_is_piped_in_comes_out_at_once_and_ctrl_c_ends_it() -> None:
    """`journalctl -f | gateway logs`: no line waits for a buffer to fill."""
    with started("provider=groq", "--follow", stdin=subprocess.PIPE) as running:
        assert running.stdin is not None
        for number in range(2):
            running.stdin.write(written(settled(provider="openai"), settled(chunks=number)))
            running.stdin.flush()
            assert json.loads(read_line(running))["chunks"] == number
        running.send_signal(signal.SIGINT)
        code = running.wait(END_S)
        assert running.stderr is not None
        said = running.stderr.read()

    assert (code, said) == (130, b"")
