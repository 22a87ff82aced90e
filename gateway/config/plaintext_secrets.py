"""Secrets that stand in a configuration file themselves.

Rule: only in a file that nobody but its owner may read; anywhere else a secret is named.
"""

import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from gateway.config.credentials import (
    SECRET_FIELD,
    is_header_written_out,
    is_written_out,
    looks_written_out,
)
from gateway.config.document import Document
from gateway.config.problems import KeyPath, Problem, render_path
from gateway.config.provider_blocks import AuthSpec

OTHERS = stat.S_IRWXG | stat.S_IRWXO
REFERENCES = "${VARIABLE} or file:/absolute/path"
VARIABLE = "${VARIABLE}"  # all that a header may hold
CHECKED_APART = ("credential", "credentials", "headers")
# The names of models look like anything: those of Perplexity begin as its credentials do.
NAMES = ("default_model", "limits", "model", "models", "own_endpoint")
ANYWHERE = (
    "holds a credential in a file that others may read; take it out, or make the file's mode 0600"
)

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
        for field, value in entry.items():
            if field not in CHECKED_APART:
                problems += _open_shapes(document, (*above, field), value)
        body = _inside(entry.get("params"), "set")
        problems += _open_fields(document, (*above, "params", "set"), body)
    return problems


def open_settings_secrets(document: Document, path: Path) -> list[Problem]:
    """Return a problem for each secret of gateway.yaml that others may read."""
    if not _may_be_read(path):
        return []
    texts: dict[KeyPath, object] = {
        ("auth", index, "secret"): _inside(method, "secret")
        for index, method in _items(_inside(document.value, "auth"))
    }
    problems = list(_open_texts(document, texts, "secret"))
    by_shape = _open_shapes(document, (), document.value)
    of_their_own = {render_path(path) for path in texts}
    return problems + [one for one in by_shape if one.path not in of_their_own]


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


def _open_shapes(document: Document, place: KeyPath, value: object) -> Iterator[Problem]:
    """Yield each text at a place, and below it, that looks like a credential."""
    if place and place[-1] in NAMES:
        return
    if isinstance(value, str) and looks_written_out(value):
        yield document.problem(place, ANYWHERE)
    for key, below in value.items() if isinstance(value, dict) else _items(value):
        yield from _open_shapes(document, (*place, key), below)


def _open_fields(document: Document, above: KeyPath, fields: object) -> Iterator[Problem]:
    """Yield each body field whose name says what it carries, whatever that looks like."""
    for name, text in fields.items() if isinstance(fields, dict) else ():
        if SECRET_FIELD.search(name) and isinstance(text, str) and not looks_written_out(text):
            yield document.problem((*above, name), ANYWHERE)


def _problem(document: Document, place: KeyPath, what: str, instead: str) -> Problem:
    return document.problem(
        place,
        f"holds the {what} itself in a file that others may read; "
        f"write {instead}, or make the file's mode 0600",
    )


def without_said(found: list[Problem], others: Sequence[Problem]) -> list[Problem]:
    """Those of a text of which nothing else is said: what is wrong there is not kept anyway."""
    said = {problem.path for problem in others}
    return [problem for problem in found if problem.path not in said]


def _inside(value: object, key: str) -> object:
    """Return what stands under a key; None where there is no block or no such key."""
    return value.get(key) if isinstance(value, dict) else None


def _items(value: object) -> list[tuple[int, object]]:
    return list(enumerate(value)) if isinstance(value, list) else []


def _blocks(value: object) -> list[tuple[str, dict[str, object]]]:
    entries = value.items() if isinstance(value, dict) else ()
    return [(name, entry) for name, entry in entries if isinstance(entry, dict)]
