"""Where the gateway keeps what outlives it: `stores` in gateway.yaml.

Rule: a password is named, not written: the file holds `${VARIABLE}`, and what it stands for is
kept wrapped and shown in no message.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, PositiveInt, SecretStr, StringConstraints, field_validator

from gateway.config import forms
from gateway.config.credentials import REFERENCE, CredentialError, find_reference
from gateway.config.spec import Spec

SQLITE = "sqlite:///"
POSTGRESQL = "postgresql://"
MEMORY = "memory"
REDIS_SCHEMES = ("redis", "rediss")
UNIX = "unix"
PEPPER_FILE = "gateway.pepper"
PEPPER_CHARS_MIN = 32

PepperVersion = Annotated[str, StringConstraints(pattern=forms.PEPPER_VERSION)]
PepperReference = Annotated[str, StringConstraints(pattern=forms.REFERENCE)]


class StoresError(ValueError):
    """What `stores` names cannot be used."""


@dataclass(frozen=True)
class RedisAddress:
    """Where the counters of several processes are."""

    shown: str  # without user and password
    host: str = "localhost"
    port: int = 6379
    path: str | None = None  # of a socket, in place of host and port
    database: int = 0
    user: str | None = None
    password: SecretStr | None = None
    is_tls: bool = False


@dataclass(frozen=True)
class DatabaseAddress:
    """Where the database is: a file of SQLite's, or a server of PostgreSQL's."""

    shown: str  # without user and password
    file: Path | None = None
    url: SecretStr | None = None


class StoresSpec(Spec):
    """Where keys, counters and the ledger are kept."""

    database: str = Field(
        default="sqlite:///gateway.db",
        description="`sqlite:///<path>`, from the directory of this file, or "
        "`postgresql://<user>:${VARIABLE}@<host>/<name>`, or `${VARIABLE}` alone.",
    )
    peppers: dict[PepperVersion, PepperReference] | None = Field(
        default=None,
        min_length=1,
        description="Secrets that keys are hashed with, as `${VARIABLE}` or `file:/absolute/path`, "
        "by version; the highest makes new keys. Unset: a file beside the SQLite database.",
    )

    counters: str = Field(
        default=MEMORY,
        description="Where `limits` are counted: `memory`, for one process, or "
        "`redis://<user>:${VARIABLE}@<host>:<port>/<number>`, `rediss://…` for TLS, "
        "`unix:///<path>`, or `${VARIABLE}` alone.",
    )
    require_counters: bool = Field(
        default=True, description="Whether the gateway starts only when Redis answers."
    )
    instances: PositiveInt = Field(
        default=1,
        description="How many gateways count in the same Redis. When it is gone, each lets in its "
        "part of what a rule allows.",
    )

    @property
    def shares_counters(self) -> bool:
        """Whether several processes can count together."""
        return self.counters != MEMORY

    @field_validator("counters")
    @classmethod
    def _is_a_place_to_count(cls, counters: str) -> str:
        if counters == MEMORY or REFERENCE.fullmatch(counters):
            return counters
        _parse_redis(REFERENCE.sub("x", counters))
        if REFERENCE.sub("", urlsplit(counters).password or ""):
            raise ValueError("holds a password; write ${VARIABLE} in its place")
        return counters

    @field_validator("database")
    @classmethod
    def _is_an_address(cls, database: str) -> str:
        if REFERENCE.fullmatch(database) is None:
            _check_address(database)
            if REFERENCE.sub("", urlsplit(database).password or ""):
                raise ValueError("holds a password; write ${VARIABLE} in its place")
        return database

    def placed_in(self, directory: Path) -> Self:
        """The same with the path of an SQLite file as seen from this directory."""
        path = self.database.removeprefix(SQLITE)
        if path == self.database or Path(path).is_absolute():
            return self
        return self.model_copy(update={"database": f"{SQLITE}{directory / path}"})

    def find_database(self, environ: Mapping[str, str] | None = None) -> DatabaseAddress:
        """Where the database is, with its variables filled in."""
        environ = os.environ if environ is None else environ
        if REFERENCE.fullmatch(self.database):
            filled = _fill(self.database, environ)
            try:
                _check_address(filled)
            except ValueError as error:
                raise StoresError(f"stores.database: what {self.database} holds {error}") from None
        else:  # of an address, a variable is one part
            filled = REFERENCE.sub(
                lambda found: quote(_fill(found[0], environ), safe=""), self.database
            )
        if filled.startswith(SQLITE):
            path = Path(filled.removeprefix(SQLITE))
            return DatabaseAddress(shown=str(path), file=path)
        parts = urlsplit(filled)
        shown = f"{POSTGRESQL}{parts.hostname or ''}{parts.path}"
        return DatabaseAddress(shown=shown, url=SecretStr(filled))

    def find_counters(self, environ: Mapping[str, str] | None = None) -> RedisAddress | None:
        """Where the counters are, with variables filled in; None for those in memory."""
        environ = os.environ if environ is None else environ
        if not self.shares_counters:
            return None
        if REFERENCE.fullmatch(self.counters):
            try:
                return _parse_redis(_fill(self.counters, environ, "stores.counters"))
            except StoresError:
                raise
            except ValueError as error:
                raise StoresError(f"stores.counters: what {self.counters} holds {error}") from None
        filled = REFERENCE.sub(
            lambda found: quote(_fill(found[0], environ, "stores.counters"), safe=""),
            self.counters,
        )
        return _parse_redis(filled)

    def find_peppers(self, environ: Mapping[str, str] | None = None) -> dict[int, SecretStr] | None:
        """The peppers that are configured, by version; None when none are."""
        environ = os.environ if environ is None else environ
        if self.peppers is None:
            return None
        found = {int(version): reference for version, reference in self.peppers.items()}
        return {version: _find_pepper(found[version], environ) for version in sorted(found)}


def check_pepper(pepper: str, source: str) -> None:
    """Raise StoresError when a pepper is too short to be one: a hash without one can be tried."""
    if len(pepper) < PEPPER_CHARS_MIN:
        raise StoresError(
            f"{source} is too short for a pepper; {PEPPER_CHARS_MIN} random characters are needed "
            "(`openssl rand -hex 32` makes 64)"
        )


def _find_pepper(reference: str, environ: Mapping[str, str]) -> SecretStr:
    try:
        pepper = find_reference(reference, environ)
    except CredentialError as error:
        raise StoresError(f"stores.peppers: {error}") from None
    if pepper is None:
        raise StoresError(f"stores.peppers: {reference} is empty or not set")
    check_pepper(pepper.get_secret_value(), f"stores.peppers: what {reference} holds")
    return pepper


def _fill(reference: str, environ: Mapping[str, str], setting: str = "stores.database") -> str:
    try:
        value = find_reference(reference, environ)
    except CredentialError as error:
        raise StoresError(f"{setting}: {error}") from None
    if value is None:
        raise StoresError(f"{setting} needs the variable {reference}, which is not set")
    return value.get_secret_value()


def _parse_redis(text: str) -> RedisAddress:
    """An address of Redis; ValueError says what it needs to be, and nothing of what it is."""
    try:
        parts = urlsplit(text)
        port = parts.port or 6379
    except ValueError:
        parts, port = urlsplit(""), 0
    where = (parts.path if parts.scheme != UNIX else parts.query).removeprefix("/")
    number = where.removeprefix("db=") if parts.scheme == UNIX else where
    is_server = parts.scheme in REDIS_SCHEMES and parts.hostname and not parts.query
    is_socket = parts.scheme == UNIX and parts.path.startswith("/")
    if not (is_server or is_socket) or re.fullmatch(r"[0-9]{0,4}", number) is None:
        raise ValueError(
            "needs to be memory, redis://<host>:<port>/<number>, rediss://… with TLS, or "
            "unix:///<path>?db=<number>"
        )
    host = parts.hostname or ""
    shown = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}"
    password = unquote(parts.password or "")
    return RedisAddress(
        shown=f"{shown}:{port}/{number or 0}" if is_server else f"unix://{parts.path}",
        host=host,
        port=port,
        path=None if is_server else unquote(parts.path),
        database=int(number or 0),
        user=unquote(parts.username or "") or None,
        password=SecretStr(password) if password else None,
        is_tls=parts.scheme == "rediss",
    )


def _check_address(text: str) -> None:
    if text.startswith(SQLITE) and re.fullmatch(r"[^\x00-\x1f?#]+", text.removeprefix(SQLITE)):
        return
    if text.startswith(POSTGRESQL) and urlsplit(text).path.strip("/"):
        return
    raise ValueError("needs to be sqlite:///<path> or postgresql://<user>@<host>/<name>")
