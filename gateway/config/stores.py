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
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, StringConstraints, field_validator

from gateway.config import forms
from gateway.config.credentials import REFERENCE, CredentialError, find_reference
from gateway.config.spec import Spec

SQLITE = "sqlite:///"
POSTGRESQL = "postgresql://"
PEPPER_FILE = "gateway.pepper"
PEPPER_CHARS_MIN = 32

PepperVersion = Annotated[str, StringConstraints(pattern=forms.PEPPER_VERSION)]
PepperReference = Annotated[str, StringConstraints(pattern=forms.REFERENCE)]


class StoresError(ValueError):
    """What `stores` names cannot be used."""


@dataclass(frozen=True)
class DatabaseAddress:
    """Where the database is: a file of SQLite's, or a server of PostgreSQL's."""

    shown: str  # without user and password
    file: Path | None = None
    url: SecretStr | None = None


class StoresSpec(Spec):
    """Where keys and the ledger are kept."""

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


def _fill(reference: str, environ: Mapping[str, str]) -> str:
    try:
        value = find_reference(reference, environ)
    except CredentialError as error:
        raise StoresError(f"stores.database: {error}") from None
    if value is None:
        raise StoresError(f"stores.database needs the variable {reference}, which is not set")
    return value.get_secret_value()


def _check_address(text: str) -> None:
    if text.startswith(SQLITE) and re.fullmatch(r"[^\x00-\x1f?#]+", text.removeprefix(SQLITE)):
        return
    if text.startswith(POSTGRESQL) and urlsplit(text).path.strip("/"):
        return
    raise ValueError("needs to be sqlite:///<path> or postgresql://<user>@<host>/<name>")
