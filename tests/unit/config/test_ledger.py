"""The block `ledger`: when a ledger is kept, and where."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load_settings
from gateway.config.problems import ConfigError
from gateway.config.settings import Settings

LIMITS = [{"name": "few", "on": "everything", "concurrent": 1}]
ANONYMOUS = {"kind": "anonymous", "requests_per_minute": 60, "concurrent": 10}
STATIC = [{"kind": "gateway_key", "keys": {"a": f"sha256:{'0' * 64}"}}]


@pytest.mark.parametrize(
    ("written", "is_kept"),
    [
        ({}, False),
        ({"ledger": {}}, True),
        ({"ledger": {"fsync_ms": 10}}, True),
        ({"limits": LIMITS}, True),
        ({"auth": [{"kind": "gateway_key"}]}, True),
        ({"auth": STATIC}, False),
        ({"auth": [ANONYMOUS]}, False),
        ({"limits": LIMITS, "ledger": {"enabled": False}}, False),
        ({"auth": STATIC, "ledger": {"enabled": True}}, True),
    ],
)
def test_a_ledger_is_kept_as_soon_as_somebody_says_who_may_call_or_how_much(
    tmp_path: Path, written: dict[str, Any], *, is_kept: bool
) -> None:
    """The first minute makes no files, and whoever limits callers can see what they used."""
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(written))

    assert load_settings(file, {}).keeps_ledger is is_kept
    assert Settings.model_validate_json(json.dumps(written)).keeps_ledger is is_kept


def test_the_journal_is_where_the_file_says(tmp_path: Path) -> None:
    """Seen from the file, as the database is; or anywhere."""
    file = tmp_path / "gateway.yaml"
    file.write_text("ledger: {}")
    assert load_settings(file).ledger.directory == tmp_path / "gateway.journal"

    file.write_text("ledger: {journal: /var/lib/gateway/journal}")
    assert load_settings(file).ledger.directory == Path("/var/lib/gateway/journal")


@pytest.mark.parametrize(
    ("block", "at"),
    [
        ("{on_ful: serve}", "ledger.on_ful"),
        ("{on_full: stop}", "ledger.on_full"),
        ("{fsync_ms: 0}", "ledger.fsync_ms"),
        ("{max_backlog_bytes: 1.5}", "ledger.max_backlog_bytes"),
        ('{journal: ""}', "ledger.journal"),
    ],
)
def test_a_mistake_has_its_line(tmp_path: Path, block: str, at: str) -> None:
    """As everywhere in the file."""
    file = tmp_path / "gateway.yaml"
    file.write_text(f"ledger: {block}")

    with pytest.raises(ConfigError) as refused:
        load_settings(file)

    (problem,) = refused.value.problems
    assert f"{file}:1:" in str(problem)
    assert at.rpartition(".")[2] in str(problem)
