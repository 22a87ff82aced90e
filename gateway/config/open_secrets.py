"""Secrets that stand in a configuration file themselves.

Rule: only in a file that nobody but its owner may read; anywhere else a secret is named.
"""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr

from gateway.config.credentials import is_header_written_out, is_written_out
from gateway.config.document import Document
from gateway.config.problems import KeyPath, Problem
from gateway.config.provider_blocks import AuthSpec

OTHERS = stat.S_IRWXG | stat.S_IRWXO
REFERENCES = "${VARIABLE} or file:/absolute/path"
VARIABLE = "${VARIABLE}"  # all that a header may hold

DEFAULT_HEADER = str(AuthSpec.model_fields["header"].default)


def open_registry_secrets(document: Document, path: Path) -> list[Problem]:
    """Return a problem for each credential of providers.yaml that others may read."""
    problems: list[Problem] = []
    if not _may_be_read(path):
        return problems
    for name, entry in _blocks(_inside(document.value, "providers")):
        above = ("providers", name)
        texts: dict[KeyPath, object] = {(*above, "credential"): entry.get("credential")}
        for index, text in _items(entry.get("credentials")):
            texts[*above, "credentials", index] = text
        problems += _open_texts(document, texts, "credential")
        # A header that carries the credential is a mistake of its own.
        own = str(_inside(entry.get("auth"), "header") or DEFAULT_HEADER)
        problems += _open_headers(document, (*above, "headers"), entry.get("headers"), own)
    return problems


def open_settings_secrets(document: Document, path: Path) -> list[Problem]:
    """Return a problem for each secret of gateway.yaml that others may read."""
    if not _may_be_read(path):
        return []
    texts: dict[KeyPath, object] = {
        ("auth", index, "secret"): _inside(method, "secret")
        for index, method in _items(_inside(document.value, "auth"))
    }
    return list(_open_texts(document, texts, "secret"))


def _may_be_read(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) & OTHERS != 0


def _open_texts(
    document: Document, texts: Mapping[KeyPath, object], what: str
) -> Iterator[Problem]:
    for place, text in texts.items():
        if isinstance(text, str) and is_written_out(SecretStr(text)):
            yield _problem(document, place, what, REFERENCES)


def _open_headers(
    document: Document, above: KeyPath, headers: object, own: str
) -> Iterator[Problem]:
    for name, text in headers.items() if isinstance(headers, dict) else ():
        if name.lower() == own.lower() or not isinstance(text, str):
            continue
        if is_header_written_out(name, text):
            yield _problem(document, (*above, name), "credential", VARIABLE)


def _problem(document: Document, place: KeyPath, what: str, instead: str) -> Problem:
    return document.problem(
        place,
        f"holds the {what} itself in a file that others may read; "
        f"write {instead}, or make the file's mode 0600",
    )


def _inside(value: object, key: str) -> object:
    """Return what stands under a key; None where there is no block or no such key."""
    return value.get(key) if isinstance(value, dict) else None


def _items(value: object) -> list[tuple[int, object]]:
    return list(enumerate(value)) if isinstance(value, list) else []


def _blocks(value: object) -> list[tuple[str, dict[str, object]]]:
    entries = value.items() if isinstance(value, dict) else ()
    return [(name, entry) for name, entry in entries if isinstance(entry, dict)]
