"""Where the gateway keeps what outlives it: `stores` in gateway.yaml.

Rule: a password is named, not written: the file holds `${VARIABLE}`, and what it stands for is
kept wrapped and shown in no message.
"""

import base64
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pydantic import Field, PositiveInt, SecretStr, StringConstraints, field_validator

from gateway.config import forms
from gateway.config.credentials import REFERENCE, CredentialError, find_reference
from gateway.config.spec import Spec

SQLITE = "sqlite:///"
POSTGRESQL = "postgresql://"
POSTGRESQL_SCHEMES = ("postgresql", "postgres")  # the second is what some hosters hand out
# Of libpq's parameters those that the driver takes; all others are refused, and not dropped.
POSTGRESQL_PORT = 5432
PARAMETERS = ("host", "port", "user", "sslmode", "ssl", "target_session_attrs")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SESSION_ATTRS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
PORT_MAX = 65535
MEMORY = "memory"
REDIS_SCHEMES = ("redis", "rediss")
UNIX = "unix"
PEPPER_FILE = "gateway.pepper"
PEPPER_CHARS_MIN = 32
ENCRYPTION_KEY_FILE = "gateway.encryption-keys"
ENCRYPTION_KEY_BYTES = 32  # of AES-256

_PLAIN_BASE64 = str.maketrans("-_", "+/")

Version = Annotated[str, StringConstraints(pattern=forms.PEPPER_VERSION)]
Reference = Annotated[str, StringConstraints(pattern=forms.REFERENCE)]


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
    """Where keys, credentials, counters and the ledger are kept."""

    database: str = Field(
        default="sqlite:///gateway.db",
        description=(
            "`sqlite:///<path>`, relative to this file, or "
            "`postgresql://<user>:${VARIABLE}@<host>/<name>`, or `${VARIABLE}` alone."
        ),
    )
    peppers: dict[Version, Reference] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Secrets that keys are hashed with: a version number and `${VARIABLE}` or "
            "`file:/absolute/path` for each. New keys use the highest version. Unset: a "
            "file beside the SQLite database."
        ),
    )
    encryption_keys: dict[Version, Reference] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Keys that encrypt the credentials of profiles and tenants: a version number "
            "and `${VARIABLE}` or `file:/absolute/path` for each. The highest version is "
            "used to encrypt. Unset: a file beside the SQLite database."
        ),
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
        description=(
            "Number of gateways that share this Redis. While Redis is down, each allows "
            "its share of every limit."
        ),
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
            raise ValueError("contains a password; write ${VARIABLE} instead")
        return counters

    @field_validator("database")
    @classmethod
    def _is_an_address(cls, database: str) -> str:
        check_database(database)
        return database

    def placed_in(self, directory: Path) -> Self:
        """The same with the path of an SQLite file as seen from this directory."""
        path = self.database.removeprefix(SQLITE)
        if path == self.database or Path(path).is_absolute():
            return self
        return self.model_copy(update={"database": f"{SQLITE}{directory / path}"})

    def find_database(self, environ: Mapping[str, str] | None = None) -> DatabaseAddress:
        """Where the database is, with its variables filled in."""
        return find_database(self.database, environ, field="stores.database")

    def find_counters(self, environ: Mapping[str, str] | None = None) -> RedisAddress | None:
        """Where the counters are, with variables filled in; None for those in memory.

        StoresError when a variable is missing or holds no address.
        """
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
        return _find_versions(self.peppers, environ, "stores.peppers", check_pepper)

    def find_encryption_keys(
        self, environ: Mapping[str, str] | None = None
    ) -> dict[int, SecretStr] | None:
        """The encryption keys that are configured, by version; None when none are."""
        return _find_versions(
            self.encryption_keys, environ, "stores.encryption_keys", check_encryption_key
        )

    def find_secrets(self, environ: Mapping[str, str] | None = None) -> list[str]:
        """Every password, pepper and key of it; what cannot be found is missed where it is used."""
        found = find_password(self.database, environ)
        with suppress(ValueError):
            counters = self.find_counters(environ)
            if counters is not None and counters.password is not None:
                found.append(counters.password.get_secret_value())
        for find in (self.find_peppers, self.find_encryption_keys):
            with suppress(ValueError):
                found += [secret.get_secret_value() for secret in (find(environ) or {}).values()]
        return found


def find_password(written: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The password of a database's address, as it is and as it stands there; empty without one."""
    with suppress(ValueError):
        address = find_database(written, environ, field="")
        password = urlsplit(address.url.get_secret_value()).password if address.url else None
        return list(dict.fromkeys((unquote(password), password))) if password else []
    return []


def find_database(
    written: str, environ: Mapping[str, str] | None = None, *, field: str
) -> DatabaseAddress:
    """Where the database of an address is; StoresError with the field when that is not known."""
    environ = os.environ if environ is None else environ
    is_file = written.startswith(SQLITE)

    def fill(found: re.Match[str]) -> str:
        value = _fill(found[0], environ, field)
        return value if is_file else quote(value, safe="")  # of an address it is one part

    if REFERENCE.fullmatch(written):
        what, filled = f"what {written} holds", _fill(written, environ, field)
    else:
        what, filled = "with its variables filled in it", REFERENCE.sub(fill, written)
    try:
        if not is_file:  # its directory may be called whatever directories are called
            _check_address(filled)
    except ValueError as error:
        raise StoresError(f"{field}: {what} {error}") from None
    if filled.startswith(SQLITE):
        path = Path(filled.removeprefix(SQLITE))
        return DatabaseAddress(shown=str(path), file=path)
    parts = urlsplit(filled)
    return DatabaseAddress(shown=_show_server(parts), url=SecretStr(filled))


def _show_server(parts: SplitResult) -> str:
    """The address without user and password; with the port where that is not the usual one."""
    host = parts.hostname or ""
    shown = f"{POSTGRESQL}{f'[{host}]' if ':' in host else host}"
    port = "" if parts.port in {None, POSTGRESQL_PORT} else f":{parts.port}"
    return f"{shown}{port}{parts.path}"


def check_database(written: str) -> None:
    """Raise ValueError when a text is no address of a database, or has a password in it."""
    if REFERENCE.fullmatch(written) is None:
        _check_address(REFERENCE.sub("1", written))  # a port may be a variable, too
        if REFERENCE.sub("", urlsplit(written).password or ""):
            raise ValueError("contains a password; write ${VARIABLE} instead")


def check_pepper(pepper: str, source: str) -> None:
    """Raise StoresError when a pepper is too short to be one: a hash without one can be tried."""
    if len(pepper) < PEPPER_CHARS_MIN:
        raise StoresError(
            f"{source} is too short for a pepper; {PEPPER_CHARS_MIN} random characters are needed "
            "(`openssl rand -hex 32` makes 64)"
        )


def check_encryption_key(key: str, source: str) -> None:
    """Raise StoresError when a text is not a key of AES-256."""
    decode_encryption_key(key, source)


def decode_encryption_key(key: str, source: str) -> bytes:
    """The 32 bytes that 64 hexadecimal digits or base64 stand for.

    StoresError for any other text.
    """
    found = b""
    with suppress(ValueError):  # those of base64 are
        if len(key) == 2 * ENCRYPTION_KEY_BYTES:
            found = bytes.fromhex(key)
        else:
            found = base64.b64decode(key.translate(_PLAIN_BASE64), validate=True)
    if len(found) != ENCRYPTION_KEY_BYTES:
        raise StoresError(
            f"{source} is not an encryption key; 32 random bytes are needed, in hexadecimal or "
            "base64 (`openssl rand -hex 32` makes one)"
        )
    return found


def _find_versions(
    written: Mapping[str, str] | None,
    environ: Mapping[str, str] | None,
    field: str,
    check: Callable[[str, str], None],
) -> dict[int, SecretStr] | None:
    """The secrets that references stand for, by version; None where none are written."""
    if written is None:
        return None
    environ = os.environ if environ is None else environ
    found: dict[int, SecretStr] = {}
    for version, reference in sorted(written.items(), key=lambda pair: int(pair[0])):
        try:
            secret = find_reference(reference, environ)
        except CredentialError as error:
            raise StoresError(f"{field}: {error}") from None
        if secret is None:
            raise StoresError(f"{field}: {reference} is empty or not set")
        check(secret.get_secret_value(), f"{field}: what {reference} holds")
        found[int(version)] = secret
    return found


def _fill(reference: str, environ: Mapping[str, str], field: str) -> str:
    try:
        value = find_reference(reference, environ)
    except CredentialError as error:
        raise StoresError(f"{field}: {error}") from None
    if value is None:
        raise StoresError(f"{field} needs the variable {reference}, which is not set")
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
    parts = _split(text)
    if parts.scheme not in POSTGRESQL_SCHEMES or not parts.path.strip("/"):
        raise ValueError("needs to be sqlite:///<path> or postgresql://<user>@<host>/<name>")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in PARAMETERS:
            raise ValueError(
                f"has a parameter{_say_name(name)} that is not known here; leave it out "
                f"(known: {', '.join(PARAMETERS)})"
            )
        if name in {"sslmode", "ssl"} and value not in SSL_MODES:
            raise ValueError(f"needs a `{name}` of {', '.join(SSL_MODES)}")
        if name == "target_session_attrs" and value not in SESSION_ATTRS:
            raise ValueError(f"needs a `{name}` of {', '.join(SESSION_ATTRS)}")
        if name == "port" and not all(map(_is_port, value.split(","))):
            raise ValueError(f"needs a `port` from 1 to {PORT_MAX}, or one for each host")


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= PORT_MAX


def _split(text: str) -> SplitResult:
    """The parts of an address; empty ones where it is none, or its port is no number."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def _say_name(name: str) -> str:
    """The name of a parameter, unless it may be something else that was put there."""
    return f" `{name}`" if re.fullmatch(r"[a-z_]{1,40}", name) else ""
