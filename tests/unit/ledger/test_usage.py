"""The question and the answer, as people and programs write them."""

import csv
import io
import json

import pytest

from gateway.ledger.usage import NUMBERS, UsageError, make_query, render_csv, render_json, show_usd
from gateway.stores.ledger import UsageQuery, UsageRow
from tests.plugins.ledgers import row_of

NOW = 1_800_000_000.0
ROW = UsageRow(("alice", "2026-11-28"), 3, 4, 100, 200, 10, 20, 1_234_567, 7, 1, 2)
QUERY = UsageQuery(("principal", "day"))


def test_words_are_told_apart() -> None:
    """With commas, or one by one, each once."""
    assert make_query(["principal,day", "model", "day"], None, None, NOW).by == (
        "principal",
        "day",
        "model",
    )
    assert make_query([], None, None, NOW) == UsageQuery(())


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("7d", (1_800_000_000 - 7 * 86_400) * 1000),
        ("90s", (1_800_000_000 - 90) * 1000),
        ("2026-11-01", 1_793_491_200_000),
        ("2026-11-01T12:00", 1_793_534_400_000),
        ("2026-11-01T12:00:30Z", 1_793_534_430_000),
        ("2026-11-01T12:00:00+02:00", 1_793_527_200_000),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_a_date_or_so_long_ago(text: str | None, at_ms: int | None) -> None:
    """Of UTC, unless it says otherwise."""
    assert make_query([], text, None, NOW).since_ms == at_ms
    assert make_query([], None, text, NOW).until_ms == at_ms


@pytest.mark.parametrize(
    ("by", "since", "until", "said"),
    [
        (["principle"], None, None, "by: needs to be of principal, tenant"),
        ([], "yesterday", None, "since: needs to be 7d"),
        ([], "7", None, "since: needs to be 7d"),
        ([], "2026-13-01", None, "since: needs to be 7d"),
        ([], "2026-11-01T99:00", None, "since: needs to be 7d"),
        ([], None, "20261101", "until: needs to be 7d"),
        ([], "1d", "7d", "since: has to be before until"),
    ],
)
def test_a_question_that_is_none_says_how_to_ask(
    by: list[str], since: str | None, until: str | None, said: str
) -> None:
    """In one sentence."""
    with pytest.raises(UsageError, match=said):
        make_query(by, since, until, NOW)


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "0.000000"), (1, "0.000001"), (1_234_567, "1.234567"), (-5, "-0.000005")],
)
def test_money_is_exact(micros: int, text: str) -> None:
    """No binary fraction is on the way."""
    assert show_usd(micros) == text


def test_csv_has_a_heading_and_a_line_for_each_sum() -> None:
    """As a spreadsheet reads it."""
    heading, line = csv.reader(io.StringIO(render_csv(QUERY, [ROW])))

    assert heading == ["principal", "day", *NUMBERS]
    assert line == [
        *("alice", "2026-11-28", "3", "4", "100", "200", "10", "20"),
        *("1.234567", "0.000007", "1", "2"),
    ]


@pytest.mark.parametrize("name", ['=cmd|"/c calc"!A1', "+1", "-1", "@SUM(A1)", "\tx"])
def test_a_name_is_no_formula(name: str) -> None:
    """A caller's name comes from a token that somebody else wrote."""
    line = list(csv.reader(io.StringIO(render_csv(UsageQuery(("principal",)), [row_of(name)]))))[1]

    assert line[0] == f"'{name}"


def test_json_has_whole_micros() -> None:
    """A program adds them up without losing any."""
    answer = json.loads(render_json(make_query(["principal,day"], "2026-11-01", None, NOW), [ROW]))

    assert (answer["by"], answer["until"]) == (["principal", "day"], None)
    assert answer["since"] == "2026-11-01T00:00:00Z"
    (usage,) = answer["usage"]
    assert (usage["principal"], usage["day"], usage["cost_micros"]) == (
        "alice",
        "2026-11-28",
        1_234_567,
    )
    assert "of" not in usage
