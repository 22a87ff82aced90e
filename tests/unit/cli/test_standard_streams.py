"""The streams of a command: closed, full, or of an encoding with few letters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__

ROOT = Path(__file__).parents[3]
FULL = Path("/dev/full")


def run(redirections: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """The end of one Python, started by a shell with its streams redirected so."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        check=False,
    )


def test_closed_streams_are_as_if_nobody_looked(tmp_path: Path) -> None:
    """Cron jobs and some supervisors close them: there was a traceback, and no answer."""
    note = tmp_path / "note"
    code = (
        "import sys; from pathlib import Path; from gateway.cli.standard_streams import *;"
        "prepare_streams(); print('out'); print('err', file=sys.stderr);"
        f"note = open({str(note)!r}, 'w'); print(repr(sys.stdin.read()), note.fileno(), file=note)"
    )

    done = run("<&- >&- 2>&-", "-c", code)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    read, number = note.read_text().split()
    assert read == "''"
    assert int(number) > 2  # what is written to a stream goes into no file of ours


def test_a_letter_that_the_encoding_has_not_is_a_question_mark() -> None:
    """The demo's own quotation marks ended its answer on a Latin-1 terminal."""
    code = "from gateway.cli.standard_streams import *; prepare_streams(); print('“é”')"

    for encoding, expected in (("ascii", "???"), ("latin-1", "?é?"), ("utf-8", "“é”")):
        done = run("", "-c", code, PYTHONIOENCODING=encoding)

        assert done.stdout == f"{expected}\n".encode(encoding), (encoding, done.stderr)


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")
def test_a_full_disk_is_said_in_a_sentence() -> None:
    """What was written to a file would look whole otherwise, or be a traceback."""
    for arguments in (["--version"], ["--help"], ["providers"], ["check", "--schema", "gateway"]):
        done = run(f">{FULL}", "-m", "gateway", *arguments)

        assert done.returncode == 1, arguments
        assert done.stderr == b"gateway: cannot write: No space left on device\n"


def test_every_command_has_its_streams_prepared() -> None:
    """Also one that only prints its version."""
    assert run("<&- 2>&-", "-m", "gateway", "--version").stdout == (
        f"chat-gateway {__version__}\n".encode()
    )
    assert run(">&-", "-m", "gateway", "providers").returncode == 0
