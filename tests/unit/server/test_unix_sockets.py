"""A listening socket in the file system."""

import contextlib
import socket
import stat
from pathlib import Path

import pytest

from gateway.server.sockets import ListenError, url_of
from gateway.server.unix_sockets import is_unix, open_unix_socket


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket is to be."""
    return tmp_path / "gateway.sock"


@pytest.mark.parametrize("mode", ["0660", "600", "0666"])
def test_it_is_open_to_whom_the_mode_says(path: Path, mode: str) -> None:
    """Whoever may write to it may call, and is believed to be a proxy where that is trusted."""
    listening, _ = open_unix_socket(str(path), mode)

    with listening:
        assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
        assert is_unix(listening)
        assert url_of(listening) == f"unix:{path}"


def test_what_a_killed_gateway_has_left_is_no_hindrance(path: Path) -> None:
    """Nobody removes the file of a process that was killed."""
    open_unix_socket(str(path), "0660")[0].close()
    assert path.is_socket()

    listening, _ = open_unix_socket(str(path), "0660")

    with listening, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


def test_a_path_where_somebody_listens_is_not_taken(path: Path) -> None:
    """The second gateway would take the first one's callers away without a word."""
    listening, _ = open_unix_socket(str(path), "0660")

    with listening, pytest.raises(ListenError, match="another program listens there"):
        open_unix_socket(str(path), "0660")


def test_one_who_listens_and_has_no_time_is_not_waited_for(path: Path) -> None:
    """A gateway that hangs has a full queue, and its successor would hang at the start."""
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as waiting:
        busy.bind(str(path))
        busy.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                caller = waiting.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)  # noqa: FBT003 - the standard library's signature
                caller.connect(str(path))

        with pytest.raises(ListenError, match="another program listens there"):
            open_unix_socket(str(path), "0660")


def test_a_file_is_left_alone(path: Path) -> None:
    """A path with a mistake in it may be somebody's data."""
    path.write_text("data")

    with pytest.raises(ListenError, match="no socket"):
        open_unix_socket(str(path), "0660")

    assert path.read_text() == "data"


@pytest.mark.parametrize(
    ("place", "reason"), [("missing/x.sock", "does not exist"), ("file/x.sock", "is none")]
)
def test_a_directory_that_is_not_there_is_said(tmp_path: Path, place: str, reason: str) -> None:
    """The usual mistake: /run is empty after a restart."""
    (tmp_path / "file").touch()

    with pytest.raises(ListenError, match=reason):
        open_unix_socket(str(tmp_path / place), "0660")


def test_its_file_is_removed_once_and_never_another_ones(path: Path) -> None:
    """A gateway that drains must not take away the socket of the one that follows it."""
    first, file = open_unix_socket(str(path), "0660")
    file.remove()
    assert not path.exists()
    second, _ = open_unix_socket(str(path), "0660")

    with first, second:
        file.remove()
        assert path.is_socket()
