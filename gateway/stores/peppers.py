"""Peppers: the secrets that keys are hashed with, by version.

The rule here: the newest version makes digests, every version finds them. Without the pepper a
copy of the database says nothing about any key; so it is not in the database.
"""

import contextlib
import hmac
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from gateway.config.stores import check_pepper
from gateway.stores.errors import StoreError

OWNER_ONLY = 0o600
PEPPER_BYTES = 32

_LINE = re.compile(r"(?P<version>[1-9][0-9]{0,3}):(?P<pepper>\S+)")


class Peppers:
    """Makes digests of keys; its own text shows versions alone."""

    def __init__(self, by_version: Mapping[int, str]) -> None:
        if not by_version:
            raise StoreError("There is no pepper, and no key can be hashed without one.")
        self.newest = max(by_version)
        self.versions = frozenset(by_version)
        self._newest = by_version[self.newest].encode()
        self._others = [
            by_version[version].encode() for version in sorted(by_version) if version < self.newest
        ]

    def digest(self, key: str) -> bytes:
        """The digest of a key under the newest pepper; 1 µs."""
        # aiohttp keeps bytes that are not UTF-8 as surrogates; they become the same bytes again.
        return hmac.digest(self._newest, key.encode(errors="surrogateescape"), "sha256")

    def digests(self, key: str) -> list[bytes]:
        """The digests of a key under every pepper, the newest first."""
        text = key.encode(errors="surrogateescape")
        return [hmac.digest(pepper, text, "sha256") for pepper in (self._newest, *self._others)]

    @override
    def __repr__(self) -> str:
        return f"Peppers({sorted(self.versions)})"


def read_pepper_file(path: Path) -> Peppers:
    """The peppers of a file: `version:pepper`, one a line."""
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
            raise StoreError(f"{path}:{number}: needs to be <version>:<pepper>, such as 1:…")
        check_pepper(match["pepper"], f"{path}:{number}")
        if int(match["version"]) in found:
            raise StoreError(f"{path}:{number}: version {match['version']} is there twice.")
        found[int(match["version"])] = match["pepper"]
    return Peppers(found)


def make_pepper_file(path: Path) -> None:
    """Write a file with a new pepper, for its owner alone; one that is there stays."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"1:{secrets.token_hex(PEPPER_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all, and never in place of another.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
