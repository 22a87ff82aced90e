"""What looks for secrets finds them, wherever one has come out (L01).

The rule here: each place is given one secret, by whatever would put it there.
"""

import base64
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.canaries import files_in, find_leaks, processes_below, seen_of
from tests.plugins.raw_caller import Heard
from tests.plugins.scene import GATEWAY_KEY, PROMPT, Scene

SECRET = "canary/of+a=kind-91d0"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        f"key={SECRET}&",
        quote(SECRET, safe=""),
        *(base64.b64encode(f"{before}{SECRET}:".encode()).decode() for before in ("", "a", "ab")),
    ],
)
def test_a_secret_is_found_in_every_form(written: str) -> None:
    """A header with a password, a query, a body that somebody wrapped."""
    assert find_leaks([SECRET], [("a log", f"x {written} y".encode())]) == ["…91d0 in a log"]
    assert find_leaks([SECRET], [("a log", written[1:].swapcase().encode())]) == []


def test_a_secret_is_found_in_a_database(tmp_path: Path) -> None:
    """In its file or in the log beside it; not in what the operator wrote."""
    (tmp_path / "gateway.yaml").write_text(SECRET)
    database = sqlite3.connect(tmp_path / "gateway.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE rows (text)")
    database.commit()
    assert find_leaks([SECRET], files_in(tmp_path)) == []

    database.execute("INSERT INTO rows VALUES (?)", [SECRET])
    database.commit()

    assert find_leaks([SECRET], files_in(tmp_path)) == ["…91d0 in the file gateway.db-wal"]
    database.close()
    assert find_leaks([SECRET], files_in(tmp_path)) == ["…91d0 in the file gateway.db"]


@LINUX
def test_a_secret_is_found_in_a_process() -> None:
    """Everybody on the machine can read its command line."""
    with running(SECRET, environ={"SIM_API_KEY": SECRET}) as told:
        assert find_leaks([SECRET], processes_below()) == [f"…91d0 in the command line of {told}"]
    with running(environ={"LEAK": SECRET}) as given:
        assert find_leaks([SECRET], seen_of(given)) == [f"…91d0 in the environment of {given}"]
    assert find_leaks([SECRET], processes_below(os.getpid())) == []


@contextmanager
def running(*arguments: str, environ: dict[str, str]) -> Iterator[int]:
    """A process of its own, once it runs."""
    command = [sys.executable, "-c", "print(flush=True); input()", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environ, text=True, **pipes) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        yield child.pid
        child.stdin.write("\n")
        child.stdin.flush()


@pytest.mark.parametrize("secret", [GATEWAY_KEY, PROMPT, "made-in-the-test-77aa"])
async def test_a_scene_looks_at_all_that_was_said(open_scene: OpenScene, secret: str) -> None:
    """Also with what the test planted after the answer had come."""
    scene = await open_scene()
    scene.heard.append(Heard(b"HTTP/1.1 200 OK\r\nX-Debug: %b\r\n\r\n" % secret.encode()))
    scene.gateway.secrets.append(secret)

    with pytest.raises(AssertionError, match="in answer 1"):
        await scene.look_for_secrets()

    scene.heard.clear()
    await scene.look_for_secrets()


async def test_what_a_gateway_has_written_is_looked_at(scene: Scene) -> None:
    """Its log, and files beside those that the operator wrote."""
    gateway = scene.gateway
    gateway.secrets.append(SECRET)
    journal = gateway.directory / "journal" / "0001"
    journal.parent.mkdir()
    journal.write_text(SECRET)

    with pytest.raises(AssertionError, match="in the file 0001"):
        gateway.look_for_secrets()
    journal.unlink()
    gateway.look_for_secrets()
    place = gateway.log.tell()
    gateway.log.write(SECRET)
    with pytest.raises(AssertionError, match="in the log"):
        gateway.look_for_secrets()
    gateway.log.seek(place)
    gateway.log.truncate()
