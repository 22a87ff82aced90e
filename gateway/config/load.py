"""Reading both configuration files.

Rule: a file is used whole or not at all; every mistake in it is reported together.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config.credentials import (
    CredentialError,
    fill_headers,
    find_credentials,
    find_secret,
)
from gateway.config.document import Document, load_document
from gateway.config.explain import INJECTED, explain_errors
from gateway.config.middleware_places import misplaced_middlewares
from gateway.config.otel_variables import VariableError, fill_in
from gateway.config.plaintext_secrets import (
    open_registry_secrets,
    open_settings_secrets,
    without_said,
)
from gateway.config.problems import ConfigError, Problem
from gateway.config.registry import Provider, RegistryFile
from gateway.config.second_look import look_again
from gateway.config.settings import AuthMethod, Settings
from gateway.config.spec import Spec
from gateway.config.text import is_there
from gateway.config.token_auth import JwtAuth, SupabaseCookieAuth, check_strength
from gateway.config.tracing import TracingSpec
from gateway.core.credential import Credential

REGISTRY_FILE = Path("providers.yaml")
SETTINGS_FILE = Path("gateway.yaml")

# Flags of GET /api/keys that belong to no provider, and the variables behind them.
LEGACY_VARIABLES = {
    "openai_organization_id": "OPENAI_ORGANIZATION_ID",
    "azure_openai_endpoint": "AZURE_OPENAI_ENDPOINT",
    "azure_gpt_35_turbo_name": "AZURE_GPT_35_TURBO_NAME",
    "azure_gpt_45_vision_name": "AZURE_GPT_45_VISION_NAME",
    "azure_gpt_45_turbo_name": "AZURE_GPT_45_TURBO_NAME",
    "azure_embeddings_name": "AZURE_EMBEDDINGS_NAME",
}

NO_CA_FILE = "no such file; name a PEM file with the certificate authorities to trust"

SpecT = TypeVar("SpecT", bound=Spec)


@dataclass(frozen=True, slots=True)
class Registry:
    """The providers as they are called: headers filled in, credentials found."""

    providers: Mapping[str, Provider]
    credentials: Mapping[str, tuple[Credential, ...]]  # of those that have one or more
    source: Path = REGISTRY_FILE
    legacy_flags: Mapping[str, bool] = field(default_factory=dict)


def load_registry(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Registry:
    """Return the providers of a file, ./providers.yaml or the registry that ships.

    ConfigError with every mistake at once.
    """
    source = path or _default_registry()
    document = load_document(source)
    written = _parse_registry(document, source)
    providers: dict[str, Provider] = {}
    credentials: dict[str, tuple[Credential, ...]] = {}
    problems: list[Problem] = []
    for name, provider in written.providers.items():
        headers, found, errors = _find_here(provider, environ)
        problems += [_credential_problem(document, name, error) for error in errors]
        ca_file = provider.tls.ca_file
        if ca_file is not None and not ca_file.is_file():
            problems.append(document.problem(("providers", name, "tls", "ca_file"), NO_CA_FILE))
        providers[name] = provider.model_copy(update={"headers": headers})
        if found:
            credentials[name] = found
    if problems:
        raise ConfigError(problems)
    flags = {name: bool(environ.get(variable)) for name, variable in LEGACY_VARIABLES.items()}
    return Registry(providers, credentials, source, flags)


def load_settings(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of a file, of ./gateway.yaml, or the defaults where there is none.

    Secrets of issuers are found; the settings hold them in place of the references.
    ConfigError with every mistake at once.
    """
    if path is None and not is_there(SETTINGS_FILE):
        return Settings()
    source = path or SETTINGS_FILE
    document = load_document(source)
    written = _parse_settings(document, source)
    methods: list[AuthMethod] = []
    problems: list[Problem] = []
    for index, method in enumerate(written.auth or ()):
        ca_file = getattr(method, "ca_file", None)
        if ca_file is not None and not ca_file.is_file():
            problems.append(document.problem(("auth", index, "ca_file"), NO_CA_FILE))
        try:
            methods.append(_with_secret(method, environ))
        except ValueError as error:
            problems.append(document.problem(("auth", index, "secret"), str(error)))
    tracing, wrong = _find_tracing(document, written.tracing, environ)
    problems += wrong
    if problems:
        raise ConfigError(problems)
    # What the file says of other files it says from where it is.
    ledger = written.ledger.placed_in(source.parent)
    found = {
        "auth": tuple(methods) or None,
        "stores": written.stores.placed_in(source.parent),
        "logging": written.logging.placed_in(source.parent),
        # Decided here: a copy does not tell any more what was written.
        "ledger": ledger.model_copy(update={"enabled": written.keeps_ledger}),
        "tracing": tracing,
    }
    return written.model_copy(update=found)


def _find_here(
    provider: Provider, environ: Mapping[str, str]
) -> tuple[dict[str, str], tuple[Credential, ...], list[CredentialError]]:
    """Return the headers and credentials of a provider, and all that keeps some from being used."""
    headers: dict[str, str] = {}
    credentials: tuple[Credential, ...] = ()
    errors: list[CredentialError] = []
    for name, text in provider.headers.items():
        try:
            headers |= fill_headers({name: text}, environ)
        except CredentialError as error:
            errors.append(error)
    try:
        credentials = find_credentials(provider, environ) if wants_ours(provider) else ()
    except CredentialError as error:
        errors.append(error)
    return headers, credentials, errors


def wants_ours(provider: Provider) -> bool:
    """Return whether a credential of the operator's may be sent to a provider."""
    # EXAMPLE in the address may be somebody's host, and that of `custom` is somebody's.
    is_somebodys = provider.is_placeholder or provider.is_custom
    return not is_somebodys and "operator" in provider.credential_order


def known_secrets(settings: Settings, registry: Registry) -> list[str]:
    """Return every secret in use, for the log to take out wherever one stands."""
    found = [
        *(one.secret for credentials in registry.credentials.values() for one in credentials),
        *(method.secret for method in settings.token_auth if method.secret),
    ]
    of_collector = settings.tracing.secrets if settings.tracing else []
    of_profiles = settings.profiles.find_secrets() if settings.profiles else []
    return [
        *(secret.get_secret_value() for secret in found),
        *of_collector,
        *settings.stores.find_secrets(),
        *of_profiles,
    ]


def check_file(path: Path) -> RegistryFile | Settings:
    """What a file of either sort says, whatever the environment; ConfigError with its mistakes."""
    return check_document(load_document(path), path)


def check_document(document: Document, path: Path) -> RegistryFile | Settings:
    """The same of what has been read from it."""
    is_registry = _is_registry(document, path.name)
    return _parse_registry(document, path) if is_registry else _parse_settings(document, path)


def _is_registry(document: Document, name: str) -> bool:
    if name in {REGISTRY_FILE.name, SETTINGS_FILE.name}:  # as the start reads it
        return name == REGISTRY_FILE.name
    keys = document.value if isinstance(document.value, dict) else {}
    is_settings = bool(set(keys) & set(Settings.model_fields))
    return "providers" in keys or (name.startswith("provider") and not is_settings)


def shipped_file(name: str) -> Path:
    """Return the path of a file that ships with the gateway."""
    installed = Path(str(resources.files(__package__).joinpath("shipped", name)))
    # In a source checkout the registry stands at the top, where people look for it.
    return installed if installed.exists() else Path(__file__).parents[2] / name


def _default_registry() -> Path:
    """Return ./providers.yaml if there is one, otherwise the registry that ships."""
    return REGISTRY_FILE if is_there(REGISTRY_FILE) else shipped_file("providers.yaml")


def _parse_registry(document: Document, path: Path) -> RegistryFile:
    """Return the providers of a document, each with its key as its name."""
    secrets = open_registry_secrets(document, path)
    return _parse(RegistryFile, document, secrets, _name_problems(document))


def _credential_problem(document: Document, name: str, error: CredentialError) -> Problem:
    """Return the problem where it is named, or else at the provider's name."""
    path = ("providers", name, *error.path)
    return document.problem(path, str(error), at_key=not error.path)


def _entries(document: Document) -> dict[str, dict[str, object]]:
    """Return the providers' entries that are blocks, wrong or right."""
    providers = document.value.get("providers") if isinstance(document.value, dict) else None
    if not isinstance(providers, dict):
        return {}
    return {name: entry for name, entry in providers.items() if isinstance(entry, dict)}


def _name_problems(document: Document) -> list[Problem]:
    """Return a problem for each entry that writes its name a second time, and name them all."""
    problems = []
    for name, entry in _entries(document).items():
        if INJECTED in entry:
            message = "unknown key; the name is the key above, write label for the one people see"
            path = ("providers", name, INJECTED)
            problems.append(document.problem(path, message, at_key=True))
        entry[INJECTED] = name
    return problems


def _parse_settings(document: Document, path: Path) -> Settings:
    """Return the settings of a document, with references where secrets will be."""
    secrets = open_settings_secrets(document, path)
    return _parse(Settings, document, secrets, misplaced_middlewares(document))


def _parse(
    model: type[SpecT], document: Document, secrets: list[Problem], others: list[Problem]
) -> SpecT:
    """Return the document as a model; ConfigError with that and what was found before."""
    try:
        written = _validate(model, document)
    except ConfigError as error:
        others = [*others, *error.problems]
        raise ConfigError([*without_said(secrets, others), *others]) from None
    if secrets or others:
        raise ConfigError([*secrets, *others])
    return written


def _with_secret(method: AuthMethod, environ: Mapping[str, str]) -> AuthMethod:
    """Return the method with its secret in place of the reference; ValueError without it."""
    if not isinstance(method, JwtAuth | SupabaseCookieAuth) or method.secret is None:
        return method
    found = find_secret(method.secret, environ)
    if found is None:
        # A secret that is written out is never empty: this is a reference, and may be shown.
        raise ValueError(f"needs {method.secret.get_secret_value()}, which is not set or empty")
    check_strength(found, method.algorithms)
    return method.model_copy(update={"secret": found})


def _find_tracing(
    document: Document, written: TracingSpec | None, environ: Mapping[str, str]
) -> tuple[TracingSpec | None, list[Problem]]:
    """Return what the block and OpenTelemetry's variables say together, or what is wrong."""
    if written is None:
        return None, []
    try:
        found = fill_in(written, environ)
    except CredentialError as error:
        return None, [document.problem(("tracing", *error.path), str(error))]
    except VariableError as error:
        return None, [document.problem(("tracing",), str(error), at_key=True)]
    if found is not None and found.ca_file is not None and not found.ca_file.is_file():
        return None, [document.problem(("tracing", "ca_file"), NO_CA_FILE)]
    return found, []


def _validate(model: type[SpecT], document: Document) -> SpecT:
    """Return the document as a model; ConfigError with all that is wrong."""
    problems = list(document.problems)
    places = {(problem.line, problem.column) for problem in problems}
    try:
        written = _read(model, document)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        found = explain_errors(document, model, errors)
        found += look_again(document, model, errors, partial(_errors_in, model))
        found = list(dict.fromkeys(found))  # what is left in a document is said again
        problems += [one for one in found if (one.line, one.column) not in places]
    else:
        if not problems:
            return written
    raise ConfigError(problems)


def _read(model: type[SpecT], document: Document) -> SpecT:
    value = {} if document.value is None else document.value
    # As JSON: strict, so that "5" is not a number, and yet a list may become a tuple.
    return model.model_validate_json(json.dumps(value), strict=True)


def _errors_in(model: type[SpecT], document: Document) -> Sequence[ErrorDetails]:
    try:
        _read(model, document)
    except ValidationError as error:
        return error.errors(include_url=False)
    return ()
