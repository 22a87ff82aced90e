"""`gateway check`: are these configuration files right.

Rule: every mistake has a line of its own, `file:line:column: path: message`; editors jump to those.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import typer

from gateway.config.document import load_document
from gateway.config.load import (
    REGISTRY_FILE,
    SETTINGS_FILE,
    Registry,
    check_file,
    load_registry,
    load_settings,
)
from gateway.config.problems import ConfigError, Problem
from gateway.config.registry import RegistryFile
from gateway.config.schemas import registry_schema, render_schema, settings_schema
from gateway.config.settings import Settings
from gateway.limits.unpriced import find_unpriced
from gateway.middleware.enforce_limits import (
    IdleRuleError,
    UnsharedCountersError,
    refuse_idle_rules,
    refuse_unshared_counters,
)

SCHEMAS = {"providers": registry_schema, "gateway": settings_schema}


def check(files: Sequence[Path]) -> int:
    """Print every mistake in the files, or in those of this directory; 0 when there is none."""
    chosen = list(files) or [path for path in (REGISTRY_FILE, SETTINGS_FILE) if path.exists()]
    if not chosen:
        typer.echo(f"No {REGISTRY_FILE} and no {SETTINGS_FILE} here; `gateway init` writes them.")
        return 0
    problems: list[Problem] = []
    right: dict[Path, RegistryFile | Settings] = {}
    for path in chosen:
        try:
            right[path] = check_file(path)
        except ConfigError as error:
            problems += error.problems
    together = list(_compare(right))
    for problem in [*problems, *together]:
        typer.echo(str(problem))
    for path in right:
        if not any(problem.file == str(path) for problem in together):
            typer.echo(f"{path}: no mistakes", err=True)
    for sentence in [*_look_around(right), *_foresee(right.values())]:
        typer.echo(sentence, err=True)
    return 1 if problems or together else 0


def _compare(files: Mapping[Path, RegistryFile | Settings]) -> Iterator[Problem]:
    """What is right in each line, and stops the start all the same."""
    registries = [file for file in files.values() if isinstance(file, RegistryFile)]
    providers = {name: one for file in registries for name, one in file.providers.items()}
    for path, file in files.items():
        if isinstance(file, RegistryFile):
            continue
        document = load_document(path)
        try:
            refuse_unshared_counters(file)
        except UnsharedCountersError as error:
            yield document.problem(("server", "workers"), _one_line(error))
        try:
            if providers:  # without, it is not known which there are
                refuse_idle_rules(file, Registry(providers, {}))
        except IdleRuleError as error:
            yield document.problem(("limits",), _one_line(error), at_key=True)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _look_around(files: Mapping[Path, RegistryFile | Settings]) -> Iterator[str]:
    """What is no mistake in a file, but stops the start in this environment."""
    for path, file in files.items():
        load = load_registry if isinstance(file, RegistryFile) else load_settings
        try:
            load(path)
        except ConfigError as error:
            for problem in error.problems:
                yield f"{problem} (the gateway would not start here)"


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
