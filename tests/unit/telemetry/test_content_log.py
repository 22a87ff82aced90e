"""What was said, for those who are named, in a file of its own."""

import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.config.logging import ContentLogSpec
from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import Principal
from gateway.logs.lines import LineCutter
from gateway.telemetry.content_log import ContentFileError, ContentLog

TIMEOUT_S = 10
NOBODY = 65_534
KNOWN = "a known secret of twenty"


def settle(log: ContentLog, name: str = "alice", answer: str = "Hello") -> Exchange:
    """One exchange of somebody's, with an answer."""
    exchange = Exchange("r1", 1.0, "POST", "/", "127.0.0.1", (log.observe,))
    exchange.principal = Principal(name, "gateway_key")
    exchange.credential_secret = SecretStr("the caller's own secret")
    log.begin(exchange, b'[{"role":"user","content":"Hi"}]')
    if exchange.content is not None:
        exchange.content.hear(answer)
    exchange.settle(Outcome.FINISHED, at=2.0)
    return exchange


def spec(path: Path, **fields: Any) -> ContentLogSpec:
    """Settings with a file."""
    return ContentLogSpec(**{"to": str(path), "principals": ("alice",), **fields})


def test_those_who_are_named_are_logged_and_nobody_else(tmp_path: Path) -> None:
    """L04: in a file that its owner alone may read."""
    log = ContentLog(clock=lambda: 0.0)
    log.apply(spec(tmp_path / "said"))

    settle(log)
    settle(log, "bob")
    log.close(TIMEOUT_S)

    [line] = (tmp_path / "said").read_text().splitlines()
    assert json.loads(line) == {
        "timestamp": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "event": "exchange.content",
        "request_id": "r1",
        "principal": "alice",
        "provider": "",
        "model": "",
        "outcome": "finished",
        "prompt": "user: Hi",
        "answer": "Hello",
        "is_cut": False,
    }
    assert stat.S_IMODE((tmp_path / "said").stat().st_mode) == 0o600


def test_all_can_be_written_out(tmp_path: Path) -> None:
    """A word, so that nobody does it by leaving something away."""
    log = ContentLog()
    log.apply(spec(tmp_path / "said", principals="all"))

    settle(log, "anybody")
    log.close(TIMEOUT_S)

    assert "anybody" in (tmp_path / "said").read_text()


@pytest.mark.parametrize("secret", [KNOWN, "the caller's own secret", "sk-proj-CanaryCanaryCanary"])
def test_secrets_are_taken_out_before_the_cut(tmp_path: Path, secret: str) -> None:
    """Half of one at the end of what is kept would not be recognised."""
    log = ContentLog([KNOWN])
    log.apply(spec(tmp_path / "said", max_bytes=50))

    settle(log, answer="x " * 20 + secret)
    log.close(TIMEOUT_S)

    line = json.loads((tmp_path / "said").read_text())
    assert secret[:10] not in line["answer"]


def test_what_is_named_as_a_credential_goes_as_in_the_log(tmp_path: Path) -> None:
    """People paste requests with their headers, and settings with their passwords."""
    log = ContentLog()
    log.apply(spec(tmp_path / "said"))

    settle(
        log, answer="curl -H 'Cookie: a=b; c=hunter2' postgresql://me:hunter2@db password=hunter2"
    )
    log.close(TIMEOUT_S)

    assert "hunter2" not in (tmp_path / "said").read_text()


def test_a_known_secret_of_any_length_is_taken_out_before_the_cut(tmp_path: Path) -> None:
    """What is looked at beyond the cut is as long as the longest of them."""
    log = ContentLog(["a very long secret " * 100])
    log.apply(spec(tmp_path / "said", max_bytes=50))

    settle(log, answer="x " * 20 + "a very long secret " * 100)
    log.close(TIMEOUT_S)

    assert "a very" not in (tmp_path / "said").read_text()


def test_whoever_is_not_named_any_more_is_not_logged_from_then_on(tmp_path: Path) -> None:
    """What was under way when the settings were read anew as well."""
    log = ContentLog()
    log.apply(spec(tmp_path / "said"))
    exchange = Exchange("r1", 1.0, "POST", "/", "127.0.0.1", (log.observe,))
    exchange.principal = Principal("alice", "gateway_key")
    log.begin(exchange, b"[]")

    log.apply(spec(tmp_path / "said", principals=("bob",)))
    exchange.settle(Outcome.FINISHED, at=2.0)
    log.close(TIMEOUT_S)

    assert (tmp_path / "said").read_text() == ""


def test_what_was_lost_after_a_reload_is_counted(tmp_path: Path) -> None:
    """The stream that was closed still had lines, and their reader left."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log = ContentLog()
    log.apply(spec(tmp_path / "pipe", max_bytes=100_000))
    settle(log, answer="x" * 90_000)  # more than a pipe takes
    log.apply(None)
    before = log.lost
    os.close(reader)
    log.close(TIMEOUT_S)

    assert (before, log.lost) == (0, 1)


def test_what_is_long_is_cut_and_stays_on_one_line(tmp_path: Path) -> None:
    """L02: by bytes, and not in the middle of a character."""
    log = ContentLog()
    log.apply(spec(tmp_path / "said", max_bytes=9))

    settle(log, answer="\u2028\x1b\x9b\n€€€€")
    log.close(TIMEOUT_S)

    written = (tmp_path / "said").read_bytes()
    assert written.isascii()
    assert written.count(b"\n") == 1
    assert json.loads(written)["answer"] == "\u2028\x1b\x9b\n…"
    assert json.loads(written)["is_cut"]


def test_nobody_escapes_by_what_is_long_to_write(tmp_path: Path) -> None:
    """A byte of somebody's may take six; what is more than may wait would never be written."""
    log = ContentLog()
    log.apply(spec(tmp_path / "said", max_bytes=1024 * 1024))

    exchange = Exchange("r1", 1.0, "POST", "/", "127.0.0.1", (log.observe,))
    exchange.principal = Principal("alice", "gateway_key")
    log.begin(exchange, b"\x01" * 1024 * 1024)
    assert exchange.content is not None
    exchange.content.hear("\x01" * 1024 * 1024)
    exchange.settle(Outcome.FINISHED, at=2.0)
    log.close(TIMEOUT_S)

    [line] = LineCutter().feed((tmp_path / "said").read_bytes())
    assert json.loads(line)["answer"] == "\x01" * 1024 * 1024
    assert log.lost == 0


def test_nothing_is_held_where_nobody_asked_for_it() -> None:
    """The default."""
    log = ContentLog()
    log.apply(None)

    assert not log.is_on
    assert settle(log).content is None


def test_it_is_never_where_the_log_is(tmp_path: Path) -> None:
    """Also under another name of the same file; and what was there before stays."""
    log = ContentLog()
    log.apply(spec(tmp_path / "said"))

    for path in ("/dev/stdout", "/proc/self/fd/1"):
        with pytest.raises(ContentFileError, match=r"is where the log goes|no such device"):
            log.apply(spec(Path(path)))
    with pytest.raises(ContentFileError, match="no such file or directory"):
        log.apply(spec(tmp_path / "nowhere" / "said"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ContentFileError, match="no such device or address"):
        log.apply(spec(tmp_path / "pipe"))  # without a reader it would be waited for
    settle(log)
    log.close(TIMEOUT_S)

    assert len((tmp_path / "said").read_text().splitlines()) == 1


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    """By the same settings: that is how logs are rotated."""
    log = ContentLog()
    log.apply(spec(tmp_path / "said"))
    settle(log)
    (tmp_path / "said").rename(tmp_path / "said.1")

    log.apply(spec(tmp_path / "said"))
    settle(log)
    log.close(TIMEOUT_S)
    log.close(TIMEOUT_S)

    for name in ("said", "said.1"):
        assert len((tmp_path / name).read_text().splitlines()) == 1
    assert log.lost == 0


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640, 0o620])
def test_a_file_that_was_there_is_its_owner_s_alone_from_then_on(tmp_path: Path, mode: int) -> None:
    """`touch said.log`, or what logrotate makes: words would be written where all may read."""
    log = ContentLog()
    for name in ("said", "said.1"):  # the second one in the place of the first
        (tmp_path / "said").touch()
        (tmp_path / "said").chmod(mode)
        log.apply(spec(tmp_path / "said"))
        settle(log)

        assert stat.S_IMODE((tmp_path / "said").stat().st_mode) == 0o600
        (tmp_path / "said").rename(tmp_path / name)
    log.close(TIMEOUT_S)


def test_what_is_no_file_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever made a pipe has said who reads it; and nobody else could use /dev/null any more."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe").chmod(0o640)
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    before = Path(os.devnull).stat().st_mode
    log = ContentLog()
    log.apply(spec(Path(os.devnull)))
    log.apply(spec(tmp_path / "pipe"))
    log.close(TIMEOUT_S)
    os.close(reader)

    assert stat.S_IMODE((tmp_path / "pipe").stat().st_mode) == 0o640
    assert Path(os.devnull).stat().st_mode == before


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of files that this process may write to and does not own."""
    if os.geteuid() != 0:  # nobody can give a file away but root

        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "fchmod", refuse)
        yield tmp_path
        return
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def make(path: Path, mode: int) -> None:
    """A file with this mode, of whoever runs the tests."""
    own = os.geteuid()
    os.seteuid(os.getuid())
    path.touch()
    path.chmod(mode)
    os.seteuid(own)


@pytest.mark.parametrize("mode", [0o666, 0o660])
def test_a_file_of_somebody_else_s_that_others_can_read_is_refused(
    foreign: Path, mode: int
) -> None:
    """Its mode is not ours to change; a file that nobody else reads will do."""
    make(foreign / "said", mode)
    make(foreign / "other", 0o622)
    log = ContentLog()

    with pytest.raises(ContentFileError, match=r"said can be read by others than its owner"):
        log.apply(spec(foreign / "said"))
    settle(log)
    log.apply(spec(foreign / "other"))
    settle(log)
    log.close(TIMEOUT_S)

    assert [(foreign / name).stat().st_size > 0 for name in ("said", "other")] == [False, True]


def test_nothing_more_is_written_to_a_file_that_others_can_read_by_now(foreign: Path) -> None:
    """What is written to stays after a mistake, but not if it is that very file."""
    make(foreign / "said", 0o622)
    log = ContentLog()
    log.apply(spec(foreign / "said"))
    settle(log)

    make(foreign / "other", 0o666)
    with pytest.raises(ContentFileError):
        log.apply(spec(foreign / "other"))
    settle(log)  # to the file that was there
    make(foreign / "said", 0o666)
    with pytest.raises(ContentFileError):
        log.apply(spec(foreign / "said"))
    settle(log)
    log.close(TIMEOUT_S)

    assert len((foreign / "said").read_text().splitlines()) == 2
    assert (foreign / "other").read_text() == ""
