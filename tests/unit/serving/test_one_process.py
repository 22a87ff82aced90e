"""What is set for a whole process."""

import gc
import json
from pathlib import Path

import pytest

from gateway.serving.one_process import tune_garbage_collector
from tests.plugins.redis_server import RedisServer
from tests.unit.cli.test_serve import PROVIDERS, START_S, read_banner, started


def test_the_collector_looks_less_often() -> None:
    """At Python's own pace it takes 7 % of the CPU of a JSON request."""
    before = gc.get_threshold()

    tune_garbage_collector()
    after = gc.get_threshold()
    gc.set_threshold(*before)
    gc.unfreeze()

    assert after[0] > before[0]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_models_that_a_budget_will_refuse_are_said_once_at_the_start(
    tmp_path: Path, valkey: RedisServer, workers: str
) -> None:
    """I11: before the first caller is refused, and however many processes there are."""
    (tmp_path / "providers.yaml").write_text(PROVIDERS)
    (tmp_path / "gateway.yaml").write_text(
        f'stores: {{counters: "{valkey.url}"}}\n'
        "auth: [{kind: anonymous, requests_per_minute: 60, concurrent: 10}]\n"
        "limits: [{name: purse, on: everything, money_per_day: 1}]\n"
    )
    with started(tmp_path, "--workers", workers) as running:
        read_banner(running)
        running.terminate()
        out, _ = running.communicate(timeout=START_S)

    lines = [json.loads(line) for line in out.splitlines()]
    (line,) = [line for line in lines if line["event"] == "limits.unpriced"]
    assert line["level"] == "warning"
    assert "The rule purse" in line["sentence"]
    assert "groq/*" in line["sentence"]
