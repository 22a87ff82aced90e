"""One list that the code counts by and the page is made from."""

import re

from gateway.telemetry.definitions import (
    CREDENTIAL_STATE,
    DEFINITIONS,
    EXCHANGES,
    RESIDENT,
    genai_table,
    labels_of,
    metrics_table,
)


def test_names_are_told_apart_and_follow_prometheus() -> None:
    """Tools read the unit and the kind off the end of a name."""
    assert len({one.name for one in DEFINITIONS}) == len(DEFINITIONS)
    for one in DEFINITIONS:
        assert re.fullmatch(r"(gateway|process)_[a-z_]+", one.name)
        assert one.name.endswith("_total") == (one.kind == "counter"), one.name
        assert bool(one.bounds) == (one.kind == "histogram"), one.name
        assert list(one.bounds) == sorted(one.bounds)


def test_the_text_of_a_scrape_has_no_markup() -> None:
    """It is shown as it stands by whatever completes a query."""
    assert CREDENTIAL_STATE.help.startswith(
        "number of workers in which a credential is in that state"
    )


def test_what_each_worker_has_says_which() -> None:
    """Two processes under one name would overwrite each other."""
    assert labels_of(RESIDENT) == ("worker",)
    assert labels_of(EXCHANGES) == ("provider", "model", "dialect", "outcome", "status")


def test_the_tables_have_a_row_for_each() -> None:
    """One that is not on the page is not found."""
    assert metrics_table().count("\n") == len(DEFINITIONS) + 2
    assert "| `process_open_fds` | gauge | `worker` | its open files and connections |\n" in (
        metrics_table()
    )
    assert genai_table().count("gen_ai.") >= 8
