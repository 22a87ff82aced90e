"""What came of trying credentials, for people and for programs."""

import io
import json

from rich.console import Console

from gateway.cli.credential_trial import Trial
from gateway.cli.trial_table import print_trials, render_trials

TRIALS = [
    Trial("groq", "GROQ_A", "works", latency_ms=120, models=21),
    Trial("groq", "GROQ_B", "refused", 401, "invalid_api_key", "Incorrect [bold]key.", 80),
    Trial("ollama", None, "unreachable", code="upstream_connect", message="Not there."),
]


def test_every_credential_has_a_row() -> None:
    """It is pasted into tickets."""
    out = io.StringIO()

    print_trials(TRIALS, Console(file=out, width=160))

    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.getvalue().split("\n")]
    assert [row for row in rows if row] == [
        ["groq", "GROQ_A", "works", "", "120 ms", "21", ""],
        ["groq", "GROQ_B", "refused", "401 invalid_api_key", "80 ms", "", "Incorrect [bold]key."],
        ["ollama", "none", "unreachable", "upstream_connect", "", "", "Not there."],
    ]


def test_programs_find_every_field_in_every_entry() -> None:
    """Null where there is nothing to say."""
    entries = json.loads(render_trials(TRIALS))

    assert entries[0] == {
        "provider": "groq",
        "credential_id": "GROQ_A",
        "result": "works",
        "status": None,
        "code": None,
        "message": None,
        "latency_ms": 120,
        "models": 21,
    }
    assert {tuple(entry) for entry in entries} == {tuple(entries[0])}
