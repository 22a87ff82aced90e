"""The files a log is in: the one that is written, those it was rotated to, compressed ones.

The rule here: whoever names several reads them in the order in which they were written.
"""

import contextlib
import gzip
import re
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Final

from gateway.core.durations import render_timestamp
from gateway.logs.lines import ByteSource, parse_line

GZIP: Final = b"\x1f\x8b"
LOOK_BYTES: Final = 64 * 1024  # a banner is shorter, so that the first line begins in these

# What logrotate and its like append: .1, .2.gz, -20261128, -20261128-0900.gz, .2026-11-28
_NUMBERED = r"[.-][0-9]{1,10}"
_DATED = r"[.-][0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[-T_.]?[0-9]{2,6})?"
_ROTATED: Final = rf"(?:{_NUMBERED}|{_DATED})"
_OTHERS: Final = r"\.(?:xz|zst|bz2|lz4|lzma|br|Z)"  # what may be compressed otherwise

# What reading a compressed file raises where it is cut short, or something else inside.
DAMAGE: Final = (EOFError, gzip.BadGzipFile, zlib.error)


class LogFileError(Exception):
    """A file that cannot be read; the text says which, and why."""


def find_rotated(path: Path) -> list[Path]:
    """The files that this one was rotated to, and the file itself.

    LogFileError where one is compressed in another way: what is left out would be missed in a sum.
    """
    name = re.escape(path.name)
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    # logrotate's `extension .log` puts the date in front of it.
    pattern = re.compile(rf"(?:{name}{_ROTATED}|{stem}{_ROTATED}{suffix})(?:\.gz)?")
    unread = re.compile(rf"(?:{name}{_ROTATED}|{stem}{_ROTATED}{suffix}){_OTHERS}")
    try:
        there = list(path.parent.iterdir())
    except OSError:  # whoever opens the file says what is the matter
        return [path]
    found = {other for other in there if pattern.fullmatch(other.name)}
    for other in there:
        if unread.fullmatch(other.name) and other.with_suffix("") not in found:
            raise LogFileError(
                f"{other} is compressed in a way that is not read here; unpack it, or name the "
                "files in place of --rotated."
            )
    # While one is being compressed, both are there.
    found -= {other.with_name(f"{other.name}.gz") for other in found}
    return [*sorted(found), path]


def check_readable(paths: Sequence[Path]) -> None:
    """Raise LogFileError for the first that cannot be read."""
    for path in paths:
        if not is_stream(path):
            _open(path).close()


def in_order(paths: Sequence[Path]) -> list[Path]:
    """The same files, the one that begins first first."""
    if len(paths) < 2 or any(map(is_stream, paths)):  # noqa: PLR2004 - nothing to put in order
        return list(paths)
    return sorted(dict.fromkeys(paths), key=_first_timestamp)


def is_stream(path: Path) -> bool:
    """True for a pipe or a device, which can be opened once and read once."""
    mode = mode_of(path)
    return mode != 0 and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def mode_of(path: Path) -> int:
    """What sort of file it is, for `stat.S_ISREG` and the like; 0 where none can be seen."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):  # not there, out of bounds, or a name that none can have
        return 0


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[ByteSource]:
    """Open a file, compressed or not."""
    with _open(path) as file:
        yield _uncompressed(file)


@contextlib.contextmanager
def open_stdin() -> Iterator[ByteSource]:
    """Read what is piped in, compressed or not."""
    with open(sys.stdin.fileno(), "rb", closefd=False) as file:
        yield _uncompressed(file)


def is_compressed(path: Path) -> bool:
    """True for a file that nobody writes to any more."""
    if not stat.S_ISREG(mode_of(path)):
        return False
    with _open(path) as file:
        return _begins_compressed(file)


def _begins_compressed(file: BufferedReader) -> bool:
    return file.peek(len(GZIP)).startswith(GZIP)


def _uncompressed(file: BufferedReader) -> ByteSource:
    """The file, or what is compressed in it: known by how it begins, not by its name."""
    return gzip.GzipFile(fileobj=file) if _begins_compressed(file) else file


def _first_timestamp(path: Path) -> str:
    """When its first line was written; when the file was, if it has none."""
    try:
        with open_log(path) as source:
            begin = b""
            while len(begin) < LOOK_BYTES and (piece := source.read1(LOOK_BYTES)):
                begin += piece
                for line in begin.split(b"\n")[:-1]:
                    fields = parse_line(line)
                    if fields is not None:
                        return str(fields["timestamp"])
    except DAMAGE:
        pass  # whoever reads it says so
    return render_timestamp(path.stat().st_mtime)


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise LogFileError(f"{path} is not there.") from None
    except IsADirectoryError:
        raise LogFileError(f"{path} is a directory; name the files in it.") from None
    except PermissionError:
        raise LogFileError(f"{path} may not be read by this user.") from None
    except OSError as error:
        raise LogFileError(f"{path} cannot be read: {describe(error)}.") from None


def describe(error: OSError) -> str:
    """What the system says."""
    return (error.strerror or type(error).__name__).lower()
