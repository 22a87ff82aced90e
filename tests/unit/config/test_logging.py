"""What may be written under `logging`, and how mistakes are told."""

from pathlib import Path

import pytest

from gateway.config.load import load_settings
from gateway.config.logging import ContentLogSpec, EventLogSpec, LoggingSpec
from gateway.config.problems import ConfigError


def load(directory: Path, text: str) -> LoggingSpec:
    """The block as it is read from a file."""
    (directory / "gateway.yaml").write_text(f"logging:\n{text}")
    return load_settings(directory / "gateway.yaml", {}).logging


def test_all_that_may_be_written(tmp_path: Path) -> None:
    """A path is seen from the file that names it."""
    found = load(
        tmp_path,
        "  format: logfmt\n  level: warning\n  buffer_bytes: 65536\n"
        "  events:\n    exchange.settled: {sample: 0.1, keep_failed: false}\n"
        "    key.refused: {level: error}\n"
        "  content: {to: said.log, principals: [alice], max_bytes: 100}\n",
    )

    assert found == LoggingSpec(
        format="logfmt",
        level="warning",
        buffer_bytes=65_536,
        events={
            "exchange.settled": EventLogSpec(sample=0.1, keep_failed=False),
            "key.refused": EventLogSpec(level="error"),
        },
        content=ContentLogSpec(to=str(tmp_path / "said.log"), principals=("alice",), max_bytes=100),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  format: xml\n", "gateway.yaml:2:11: logging.format: needs to be one of auto, json"),
        (
            "  events: {exchange.setled: {}}\n",
            "gateway.yaml:2:29: logging.events.exchange.setled: there is no such event; did you",
        ),
        (
            "  events: {key.refused: {sample: 2}}\n",
            "logging.events.key.refused.sample: needs to be 1 or less",
        ),
        (
            "  events: {key.refused: {levle: info}}\n",
            "logging.events.key.refused.levle: unknown key; did you mean level?",
        ),
        ("  content: {to: x}\n", "logging.content.principals: is missing"),
        ("  content: {to: stderr, principals: alice}\n", "logging.content.principals: needs to be"),
        # A file of that name would be made, and nobody look for one.
        ("  content: {to: stdout, principals: all}\n", "a file of that name is ./stdout"),
        ("  content: {to: '-', principals: all}\n", "logging.content.to: needs to be a file, or"),
        ("  content: {to: STDERR, principals: all}\n", "logging.content.to: write stderr"),
        # Nobody would be logged.
        ("  content: {to: x, principals: [all]}\n", "write `principals: all`"),
        ("  buffer_bytes: 10\n", "logging.buffer_bytes: needs to be 65536 or more"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """And with what would be right."""
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)

    assert said in str(refused.value)


def test_standard_error_is_no_path(tmp_path: Path) -> None:
    """It is where it is."""
    found = load(tmp_path, "  content: {to: stderr, principals: all}\n")

    assert found.content == ContentLogSpec(to="stderr", principals="all")
