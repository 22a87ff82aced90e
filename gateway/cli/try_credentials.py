"""`gateway keys test [PROVIDER]…`: whether providers accept the gateway's credentials.

Rule: a credential is shown to its own provider and to nobody else; 1 when one does not work.
"""

import asyncio
import importlib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from gateway.cli.credential_trial import Trial, choose_providers, try_provider
from gateway.cli.trial_table import print_trials, render_trials
from gateway.config.load import Registry, known_secrets, load_registry
from gateway.config.problems import ConfigError
from gateway.config.settings import Settings
from gateway.core.extras import line_that_installs
from gateway.upstream.upstreams import Upstreams

CLIENT = "gateway.cli.openai_client"
OF_THE_EXTRA = ("openai", "httpx2")
WORKS = "works"


class TrialError(Exception):
    """Nothing can be tried; the text is for whoever asked."""


def try_credentials(
    names: Sequence[str], providers: Path | None, timeout_s: float, *, as_json: bool
) -> int:
    """Ask each provider with each of its credentials and print what came of it."""
    try:
        registry = load_registry(providers)
        _check_names(registry, names)
        trials = asyncio.run(_try_all(registry, names, timeout_s))
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        return 1
    except TrialError as error:
        typer.echo(str(error), err=True)
        return 1
    if as_json:
        typer.echo(render_trials(trials))
    else:
        print_trials(trials)
    return 0 if all(trial.result == WORKS for trial in trials) else 1


async def _try_all(registry: Registry, names: Sequence[str], timeout_s: float) -> list[Trial]:
    client = _import_client()
    secrets = tuple(known_secrets(Settings(), registry))
    upstreams = Upstreams(registry.providers, simulator_url=None)
    try:
        found = await asyncio.gather(
            *(
                try_provider(
                    provider,
                    registry.credentials.get(provider.name, ()),
                    client.Asker(upstreams[provider.name], timeout_s=timeout_s, secrets=secrets),
                )
                for provider in choose_providers(registry, names)
            )
        )
    finally:
        upstreams.close()
    return [trial for trials in found for trial in trials]


def _check_names(registry: Registry, names: Sequence[str]) -> None:
    if not names and not registry.credentials:
        raise TrialError(
            f"No provider in {registry.source} has a credential; "
            "`gateway providers` says where each would be."
        )
    for name in names:
        provider = registry.providers.get(name)
        if provider is None:
            # Not repeated: somebody may have written a credential here.
            near = get_close_matches(name, registry.providers, 1)
            hint = f"did you mean {near[0]}?" if near else "`gateway providers` lists them."
            raise TrialError(
                f"There is no provider of that name in {registry.source}; {hint} "
                "(A key of the gateway begins with gw_.)"
            )
        if provider.is_simulated:
            raise TrialError(f"{name} is built into the gateway; there is nothing to try.")
        if provider.is_placeholder:
            raise TrialError(f"The address of {name} still holds EXAMPLE; write your own first.")


def _import_client() -> Any:  # noqa: ANN401 - a module
    """Load what needs the extra; it takes half a second, and most installations lack it."""
    try:
        return importlib.import_module(CLIENT)
    except ModuleNotFoundError as error:
        if error.name not in OF_THE_EXTRA:
            raise
        raise TrialError(
            "`gateway keys test` needs the openai package, which is not installed; this installs "
            f"it: {line_that_installs('openai')}"
        ) from None
