"""`gateway check`: are these configuration files right.

Rule: every mistake has a line of its own, `file:line:column: path: message`; editors jump to those.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import typer

from gateway.config.document import Document, load_document
from gateway.config.listeners import SamePortError, refuse_same_port
from gateway.config.load import (
    REGISTRY_FILE,
    SETTINGS_FILE,
    Registry,
    check_document,
    load_registry,
    load_settings,
    wants_ours,
)
from gateway.config.problems import ConfigError, KeyPath, Problem
from gateway.config.registry import Provider, RegistryFile
from gateway.config.schemas import registry_schema, render_schema, settings_schema
from gateway.config.settings import Settings
from gateway.config.text import is_read_once, is_there
from gateway.core.credential import Credential
from gateway.limits.checking_rules import (
    IdleRuleError,
    UnsharedCountersError,
    refuse_idle_rules,
    refuse_unshared_counters,
)
from gateway.limits.unpriced import find_unpriced
from gateway.middleware.authenticate import UnsafeBindError, refuse_unsafe_bind
from gateway.plugins.finding import places_of
from gateway.plugins.missing import find_missing
from gateway.telemetry.tracing.opening import UnknownProviderError, refuse_unknown_providers

NOT_HERE = "(the gateway would not start here)"
SCHEMAS = {"providers": registry_schema, "gateway": settings_schema}


def check(files: Sequence[Path]) -> int:
    """Print every mistake in the files, or in those of this directory; 0 when there is none."""
    chosen = list(files) or [path for path in (REGISTRY_FILE, SETTINGS_FILE) if is_there(path)]
    if not chosen:
        typer.echo(f"No {REGISTRY_FILE} and no {SETTINGS_FILE} here; `gateway init` writes them.")
        return 0
    problems: list[Problem] = []
    right: dict[Path, RegistryFile | Settings] = {}
    documents: dict[Path, Document] = {}
    for path in chosen:
        try:
            documents[path] = load_document(path)
            right[path] = check_document(documents[path], path)
        except ConfigError as error:
            problems += error.problems
    together = list(_compare(right, documents))
    for problem in [*problems, *together]:
        typer.echo(str(problem))
    for path in right:
        if not any(problem.file == str(path) for problem in together):
            typer.echo(f"{path}: no mistakes", err=True)
    for sentence in [*_look_around(right), *_foresee(right.values())]:
        typer.echo(sentence, err=True)
    return 1 if problems or together else 0


def _compare(
    files: Mapping[Path, RegistryFile | Settings], documents: Mapping[Path, Document]
) -> Iterator[Problem]:
    """What is right in each line, and stops the start all the same."""
    registry = _join(files)
    for path, file in files.items():
        if isinstance(file, RegistryFile):
            continue
        document = documents[path]
        try:
            refuse_same_port(file)
        except SamePortError as error:
            yield document.problem(_written(document, ("admin", "port")), _one_line(error))
        try:
            refuse_unsafe_bind(file, registry)
        except UnsafeBindError as error:
            place = "host" if file.server.unix_socket is None else "unix_socket"
            yield document.problem(("server", place), _one_line(error))
        try:
            refuse_unshared_counters(file)
        except UnsharedCountersError as error:
            yield document.problem(("server", "workers"), _one_line(error))
        try:
            if registry.providers:  # without, it is not known which there are
                refuse_idle_rules(file, registry)
        except IdleRuleError as error:
            yield document.problem(("limits",), _one_line(error), at_key=True)
        try:
            if registry.providers and file.tracing is not None:
                refuse_unknown_providers(file.tracing, registry.providers)
        except UnknownProviderError as error:
            yield document.problem(("tracing", "propagate_to"), _one_line(error))


def _join(files: Mapping[Path, RegistryFile | Settings]) -> Registry:
    """The providers of all these files, and the credentials that they have here or will have."""
    providers: dict[str, Provider] = {}
    credentials: dict[str, tuple[Credential, ...]] = {}
    for path, file in files.items():
        if isinstance(file, Settings):
            continue
        providers |= file.providers
        credentials |= {name: () for name, one in file.providers.items() if _names_credential(one)}
        if is_read_once(path):
            continue
        with contextlib.suppress(ConfigError):  # that is said in a sentence of its own
            credentials |= load_registry(path).credentials
    return Registry(providers, credentials)


def _names_credential(provider: Provider) -> bool:
    is_named = provider.credential is not None or bool(provider.credentials)
    return is_named and wants_ours(provider)


def _written(document: Document, of_admin: KeyPath) -> KeyPath:
    """The path in `admin` where it is written, or the same in `server`, where it then is."""
    return of_admin if of_admin in document.values else ("server", *of_admin[1:])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _look_around(files: Mapping[Path, RegistryFile | Settings]) -> Iterator[str]:
    """What is no mistake in a file, but stops the start in this environment."""
    for path, file in files.items():
        if is_read_once(path):
            continue
        load = load_registry if isinstance(file, RegistryFile) else load_settings
        try:
            load(path)
        except ConfigError as error:
            for problem in error.problems:
                yield f"{problem} {NOT_HERE}"
        if isinstance(file, Settings):
            yield from (f"{problem} {NOT_HERE}" for problem in _missing_modules(path, file))


def _missing_modules(path: Path, settings: Settings) -> Iterator[Problem]:
    for index, one in enumerate(settings.middleware):
        missing = None if one.optional else find_missing(one.use, places_of(path))
        if missing is not None:
            yield load_document(path).problem(
                ("middleware", index, "use"),
                f"there is no module {missing}; "
                "it is looked for next to gateway.yaml and in the current directory",
            )


def _foresee(files: Iterable[RegistryFile | Settings]) -> list[str]:
    """What is no mistake in either file, and will surprise somebody in both together."""
    providers = {
        name: provider
        for file in files
        if isinstance(file, RegistryFile)
        for name, provider in file.providers.items()
    }
    rules = [rule for file in files if isinstance(file, Settings) for rule in file.rules]
    return find_unpriced(rules, providers)


def print_schema(which: str) -> int:
    """Print the JSON Schema of `providers` or `gateway`, for an editor to complete from."""
    typer.echo(render_schema(SCHEMAS[which]()), nl=False)
    return 0
