"""Finding a provider's credentials, and filling environment variables into headers.

Rule: a message names the variable or the file, never what is in it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from gateway.config.mistakes import Mistake
from gateway.config.problems import KeyPath
from gateway.core.credential import Credential
from gateway.core.credential_shapes import holds_credential

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,127})\}")
BARE_VARIABLE = re.compile(r"\$[A-Z_][A-Z0-9_]*")  # as a shell has it; no credential looks so
TEMPLATE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,127})(?::-([^{}$]*))?\}")
FILE_PREFIX = "file:"
FILE_BYTES_MAX = 64 * 1024
# Where systemd puts the files of LoadCredential=; containers set it to where secrets are mounted.
DIRECTORY = "CREDENTIALS_DIRECTORY"

# The names of headers that carry credentials, and what may stand before one.
SECRET_HEADER = re.compile(
    r"(?i)(?:auth|authorization|cookie|credential|password|secret|token"
    r"|(?:^|[-_]|api|access|subscription)key)$"
)
# The same of body fields, whose `token` and `key` are mostly no secrets (`prompt_cache_key`).
SECRET_FIELD = re.compile(
    r"(?i)(?:^|_)(?:api_?key|authorization|password|secret|(?:access|auth)_token)$"
)
AUTH_SCHEME = re.compile(r"^\s*(?:Basic|Bearer|Key|Token)(?:\s+|$)", re.IGNORECASE)

WRITTEN_OUT = "written out"  # the id of a credential whose value stands in the registry
TWICE = "the same credential is written twice; keep one"

VISIBLE = re.compile(r"[\x21-\x7e]+")  # what a header may carry as a token
QUOTED = re.compile(r"([\"']).*\1")
NOTHING = frozenset({"", '""', "''"})  # Docker's --env-file keeps the quotes of a .env file
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


class CredentialError(ValueError):
    """Something that was named and cannot be used.

    `path` leads from the block to where it is named; empty where only a default names it.
    """

    def __init__(self, message: str, *, path: KeyPath = ()) -> None:
        super().__init__(message)
        self.path = path


class CredentialSource(Protocol):
    """What of a provider says where its credential is."""

    @property
    def env(self) -> str:
        """The environment variable of the provider."""

    @property
    def credential(self) -> SecretStr | None:
        """The reference in the registry, if there is one."""

    @property
    def credentials(self) -> Sequence[SecretStr]:
        """The references in the registry, where there are several."""


def find_credentials(
    provider: CredentialSource, environ: Mapping[str, str]
) -> tuple[Credential, ...]:
    """Return the provider's credentials, each once; those that are blank or not set are left out.

    A CredentialError names the one that cannot be used.
    """
    if provider.credentials:
        return _find_several(provider.credentials, environ)
    written = provider.credential
    if written is None:
        name = provider.env
        secret = _find_variable(name, environ)
    else:
        name = _name_of(written.get_secret_value())
        secret = _find_at(("credential",), written, environ)
    return () if secret is None else (Credential(name, secret),)


def name_places(provider: CredentialSource) -> list[str]:
    """What is looked at for the provider's credentials: the names of variables and files."""
    written = provider.credentials or (
        () if provider.credential is None else (provider.credential,)
    )
    return [_name_of(reference.get_secret_value()) for reference in written] or [provider.env]


def say_where(provider: CredentialSource) -> str:
    """Where the provider's credential would be: a variable, a file, or one of several."""
    names = name_places(provider)
    if len(names) > 1:
        return f"one of {', '.join(names)}"
    is_file = names[0].startswith(FILE_PREFIX)
    return names[0] if is_file else f"the environment variable {names[0]}"


def find_repeated(references: Sequence[SecretStr]) -> Iterator[Mistake]:
    """Yield each of them that stands further up already."""
    texts = [reference.get_secret_value() for reference in references]
    for place, text in enumerate(texts):
        if text in texts[:place]:
            name = _name_of(text)
            yield Mistake(
                (place,), TWICE if name == WRITTEN_OUT else f"{name} is written twice; keep one"
            )


def _find_several(
    references: Sequence[SecretStr], environ: Mapping[str, str]
) -> tuple[Credential, ...]:
    found: list[Credential] = []
    for place, reference in enumerate(references):
        name = _name_of(reference.get_secret_value())
        if name == WRITTEN_OUT:
            name = f"{WRITTEN_OUT} {place + 1}"  # an id is one credential's
        path = ("credentials", place)
        secret = _find_at(path, reference, environ)
        if secret is None:
            continue
        for other in found:
            if other.secret == secret:
                # They share one limit at the provider: two places in the pool would be a lie.
                message = f"{name} holds the same value as {other.id}; keep one of the two"
                raise CredentialError(message, path=path)
        found.append(Credential(name, secret))
    return tuple(found)


def _find_at(path: KeyPath, written: SecretStr, environ: Mapping[str, str]) -> SecretStr | None:
    try:
        return find_secret(written, environ)
    except CredentialError as error:
        raise CredentialError(str(error), path=path) from None


def find_secret(written: SecretStr, environ: Mapping[str, str]) -> SecretStr | None:
    """Return what a reference stands for, or None when that is not set; blank is not set."""
    return find_reference(written.get_secret_value(), environ)


def find_reference(reference: str, environ: Mapping[str, str]) -> SecretStr | None:
    """Return what `${VARIABLE}` or `file:/path` stands for, or the text itself; None when blank."""
    variable = REFERENCE.fullmatch(reference)
    if variable is not None:
        return _find_variable(variable[1], environ)
    if reference.startswith(FILE_PREFIX):
        path = Path(reference.removeprefix(FILE_PREFIX))
        return _usable(_read(path), f"the file {path}")
    return _usable(reference, "the value in the file")


def _find_variable(name: str, environ: Mapping[str, str]) -> SecretStr | None:
    """What a variable holds, or else the file of its name in the directory of secrets."""
    text, source = _read_variable(name, environ)
    return _usable(text, source)


def _read_variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The text of a variable, or of the file in its place, and what to call that in a message."""
    text, source = environ.get(name, ""), f"the environment variable {name}"
    directory = environ.get(DIRECTORY, "")
    if text.strip() or not directory:
        return text, source
    path = Path(directory) / name
    try:
        path.stat()
    except FileNotFoundError:
        return text, source
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CredentialError(f"the file {path} cannot be read: {reason}") from None
    return _read(path), f"the file {path}"


def _name_of(reference: str) -> str:
    """What a credential is called: its variable, its file, or that it is written out."""
    variable = REFERENCE.fullmatch(reference)
    if variable is not None:
        return variable[1]
    return reference if reference.startswith(FILE_PREFIX) else WRITTEN_OUT


def is_written_out(credential: SecretStr | None) -> bool:
    """Whether the registry holds a credential itself rather than where it is."""
    if credential is None:
        return False
    text = credential.get_secret_value()
    is_reference = "${" in text or text.startswith(FILE_PREFIX) or BARE_VARIABLE.fullmatch(text)
    return not is_reference and VISIBLE.fullmatch(text) is not None


def is_header_written_out(name: str, value: str) -> bool:
    """Whether the registry holds a credential itself in one of its `headers`."""
    if looks_written_out(value):
        return True
    written = _without_variables(value)
    return SECRET_HEADER.search(name) is not None and AUTH_SCHEME.sub("", written, 1).strip() != ""


def looks_written_out(value: str) -> bool:
    """Whether any text of a file has a credential in it, by its looks."""
    return holds_credential(_without_variables(value))


def _without_variables(value: str) -> str:
    """Return what of a text stands in the file, defaults of variables among it."""
    return TEMPLATE.sub(lambda found: found[2] or "", value)


def check_reference(reference: str) -> None:
    """Raise ValueError when the text can be neither a reference nor a credential."""
    if reference.startswith(FILE_PREFIX):
        if not reference.startswith(FILE_PREFIX + "/") or re.search(r"[\x00-\x1f\x7f]", reference):
            raise ValueError("needs an absolute path after file:, such as file:/run/secrets/groq")
        return
    if "${" in reference and REFERENCE.fullmatch(reference) is None:
        raise ValueError("needs to be one variable and nothing else, such as ${GROQ_API_KEY}")
    if BARE_VARIABLE.fullmatch(reference) is not None:
        raise ValueError("needs braces around the variable's name, such as ${GROQ_API_KEY}")
    if VISIBLE.fullmatch(reference) is None:
        raise ValueError(
            "is empty or contains white space; write ${VARIABLE} or file:/absolute/path"
        )


def find_unsendable(headers: Mapping[str, str]) -> Iterator[Mistake]:
    """Yield each header whose value cannot be sent or holds a broken reference."""
    for name, value in headers.items():
        if HEADER_VALUE.fullmatch(value) is None:
            yield Mistake((name,), "contains a control character or a letter outside ASCII")
        if "${" in TEMPLATE.sub("", value):
            yield Mistake((name,), "has a broken reference; write ${VARIABLE}")


def fill_headers(headers: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with their variables filled in, without those that came out empty.

    The path of a CredentialError begins with `headers`.
    """
    filled = {name: _fill(name, value, environ) for name, value in headers.items()}
    return {name: value for name, value in filled.items() if value}


def _fill(name: str, template: str, environ: Mapping[str, str]) -> str:
    """Return one header's value with its variables filled in."""
    path = ("headers", name)

    def replace(found: re.Match[str]) -> str:
        variable, default = found[1], found[2]
        text, source = _read_variable(variable, environ)
        value = text.strip()
        if not value and default is None:
            raise CredentialError(
                f"the header {name} needs the environment variable {variable}, which is not set; "
                f"set it, or write ${{{variable}:-}} to send no such header",
                path=path,
            )
        if HEADER_VALUE.fullmatch(value) is None:
            raise CredentialError(
                f"{source} cannot go into the header {name}: "
                "it contains a control character or a letter outside ASCII",
                path=path,
            )
        return value or default

    return TEMPLATE.sub(replace, template).strip()


def _read(path: Path) -> str:
    """Return the text of a credential's file."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CredentialError(f"the file {path} cannot be read: {reason}") from None
    except UnicodeDecodeError:
        raise CredentialError(f"the file {path} is not text in UTF-8") from None
    if len(content) > FILE_BYTES_MAX:
        raise CredentialError(f"the file {path} is too large to hold a credential")
    return text


def _usable(text: str, source: str) -> SecretStr | None:
    """Return the credential without the white space around it, None when nothing is left."""
    stripped = text.strip()
    if stripped in NOTHING:
        return None
    if VISIBLE.fullmatch(stripped) is None:
        # A line break in it would end the request's header and start another.
        raise CredentialError(
            f"{source} holds white space, a control character or a letter outside ASCII"
        )
    if QUOTED.fullmatch(stripped):
        raise CredentialError(f"{source} holds quotes around the credential; leave them out")
    return SecretStr(stripped)
