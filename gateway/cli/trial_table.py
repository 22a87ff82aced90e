"""What came of trying credentials, as people and as programs read it.

Rule: names, words and numbers; what a provider said is cleaned before it comes here.
"""

import json
from collections.abc import Sequence

import msgspec
from rich.console import Console

from gateway.cli.credential_trial import Trial
from gateway.cli.tables import print_table

COLUMNS = ("provider", "credential", "result", "answer", "latency", "models", "says")


def print_trials(trials: Sequence[Trial], console: Console | None = None) -> None:
    """Print one row for each credential."""
    print_table(COLUMNS, (_cells(trial) for trial in trials), console)


def render_trials(trials: Sequence[Trial]) -> str:
    """All of it as a JSON list; every field is in every entry."""
    return json.dumps([msgspec.to_builtins(trial) for trial in trials], indent=2)


def _cells(trial: Trial) -> tuple[str, ...]:
    answer = " ".join(str(part) for part in (trial.status, trial.code) if part is not None)
    return (
        trial.provider,
        trial.credential_id or "none",
        trial.result,
        answer,
        "" if trial.latency_ms is None else f"{trial.latency_ms} ms",
        "" if trial.models is None else str(trial.models),
        trial.message or "",
    )
