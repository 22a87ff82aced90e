"""A listening socket in the file system, for a proxy on this machine.

The rule here: a path in use is never taken over. A socket left by a killed gateway is removed. One
that somebody listens on, or a file that is no socket, is left alone and reported.
"""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.server.sockets import BACKLOG, SEND_BUFFER_BYTES, ListenError

_ALL = 0o777
_OCTAL = 8

_REASONS = {
    errno.EACCES: "the gateway's user may not write into its directory",
    errno.ENOENT: "its directory does not exist; make it, or let systemd: RuntimeDirectory=gateway",
    errno.ENOTDIR: "its directory is none",
}


@dataclass(frozen=True)
class SocketFile:
    """The file of a socket, as long as it still belongs to that socket."""

    path: Path
    identity: tuple[int, int]  # device and inode

    def remove(self) -> None:
        """Remove the file, so that nobody can connect and a proxy asks another gateway.

        If another gateway has taken the path since, its file is kept.
        """
        try:
            with _only_one(self.path.parent):
                if _identity_of(self.path) == self.identity:
                    self.path.unlink()
        except OSError:
            return  # the directory is gone too, or a later start removes the file as stale


def open_unix_socket(path: str, mode: str) -> tuple[socket.socket, SocketFile]:
    """Listen at a path with this octal mode; ListenError if that fails."""
    file = Path(path)
    try:
        with _only_one(file.parent):
            _remove_stale(file)
            listening = _bind(path, int(mode, _OCTAL))
            return listening, SocketFile(file, _identity_of(file))
    except ListenError:
        raise
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
        raise ListenError(f"{path}: {reason}") from error


def is_unix(listening: socket.socket) -> bool:
    """Whether it is a Unix socket, which several workers can only share."""
    return listening.family == socket.AF_UNIX


def _remove_stale(file: Path) -> None:
    """Remove what a killed gateway left; ListenError if it is anything else."""
    if not file.exists():
        return
    if not file.is_socket():
        raise ListenError(f"{file}: there is a file that is no socket; move it away")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)  # noqa: FBT003 - the standard library's signature
        try:
            caller.connect(str(file))
        except ConnectionRefusedError:  # nobody listens
            file.unlink()
            return
        except PermissionError as error:  # and whether somebody listens cannot be asked
            raise ListenError(
                f"{file}: it is another user's; remove it, or take another path"
            ) from error
        except BlockingIOError:  # somebody does, and has as many callers waiting as may wait
            pass
    raise ListenError(f"{file}: another program listens there; stop it or take another path")


def _bind(path: str, mode: int) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        before = os.umask(_ALL ^ mode)  # not chmod: it would be everybody's for a moment
        try:
            listening.bind(path)
        finally:
            os.umask(before)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _identity_of(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Keep other gateways out: two that start at once would both find what a third has left."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
