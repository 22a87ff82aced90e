"""A file of secrets by version, for its owner alone: `version:secret`, one a line.

The rule here: a message names the file and the line, never what stands there.
"""

import contextlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from gateway.stores.errors import StoreError

SECRET_BYTES = 32
OWNER_ONLY = 0o600

_LINE = re.compile(r"(?P<version>[1-9][0-9]{0,3}):(?P<secret>\S+)")


def read_versions(path: Path, what: str, check: Callable[[str, str], None]) -> dict[int, str]:
    """The secrets of a file; `check` is given each with its place, and raises what is wrong."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise StoreError(f"{path}: others may read it; `chmod 600 {path}` mends that.")
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise StoreError(f"{path}: cannot be read: {reason}") from None
    found: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise StoreError(f"{path}:{number}: needs to be <version>:<{what}>, such as 1:…")
        check(match["secret"], f"{path}:{number}")
        if int(match["version"]) in found:
            raise StoreError(f"{path}:{number}: version {match['version']} is there twice.")
        found[int(match["version"])] = match["secret"]
    return found


def ensure_version_file(path: Path, lost: str | None) -> None:
    """Make the file where there is none; StoreError with `lost` when what it held is needed."""
    if path.exists():
        return
    if lost is not None:
        raise StoreError(f"{path} is not there, and {lost}")
    try:
        make_version_file(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be made: {error.strerror}") from None


def make_version_file(path: Path) -> None:
    """Write a file with a new secret, for its owner alone; one that is there stays."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"1:{secrets.token_hex(SECRET_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            _put(Path(name), path)
    finally:
        Path(name).unlink(missing_ok=True)


def _put(made: Path, path: Path) -> None:
    """Give what was made its name; FileExistsError where something has that."""
    try:
        # A link appears whole or not at all, and never in place of another.
        os.link(made, path)
    except FileExistsError:
        raise
    except OSError:  # a disk without links; for a moment it is there and empty
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY))
        made.replace(path)
