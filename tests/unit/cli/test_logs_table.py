"""The summary, as people and programs read it."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from gateway.cli.logs_table import draw_summary, render_summary
from gateway.logs.choice import Choice
from gateway.logs.reading import Reader
from gateway.logs.summary import Summary
from tests.plugins.log_lines import line_of, settled


def summed(*lines: dict[str, Any], by: tuple[str, ...] = ()) -> tuple[Summary, Reader]:
    """Sum up lines."""
    reader, summary = Reader(Choice()), Summary(by)
    reader.add_up([line_of(line) for line in lines], summary)
    return summary, reader


def printed(summary: Summary, reader: Reader, *, width: int = 120) -> str:
    """Give what a terminal shows."""
    return draw_summary(summary, reader, Console(file=io.StringIO(), width=width))


def rows(text: str) -> list[list[str]]:
    """Give the cells of all tables, without their headings."""
    lines = [line for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_a_row_says_how_it_went() -> None:
    """Counts, times, tokens, money."""
    text = printed(
        *summed(
            settled(first_content_s=0.25, duration_s=2.5, added_s=0.0012),
            settled(
                outcome="upstream_failed",
                error_code="upstream_reset",
                cost_micros=None,
                first_content_s=None,
                added_s=None,
            ),
        )
    )

    assert "2026-11-28T12:00:00.000Z to 2026-11-28T12:00:00.000Z" in text
    assert rows(text) == [
        ["2", "50.0 %", "20", "40", "0.000030 (+ 1 unpriced)"],
        ["to first content", "249 ms", "249 ms", "249 ms"],
        ["in all", "997 ms", "2.48 s", "2.48 s"],
        ["added by the gateway", "1.21 ms", "1.21 ms", "1.21 ms"],
        ["upstream_reset", "1", "50.0 %"],
    ]


def test_nothing_is_cut_off_on_a_narrow_terminal() -> None:
    """A sum of money without its end is a wrong one."""
    lines = [settled(cost_micros=123_456_789, provider="a-provider-of-a-long-name")] * 9

    text = printed(*summed(*lines, by=("provider", "model")), width=80)

    assert "\u2026" not in text
    assert rows(text)[0][-1] == "1111.111101"


@pytest.mark.parametrize("by", [("provider",), ("provider", "model")], ids=len)
def test_a_terminal_of_80_columns_shows_whose_sums_they_are(by: tuple[str, ...]) -> None:
    """Models without a price took the names' place: no provider was to be seen."""
    lines = [settled(cost_micros=None), settled(provider="mistral", model="large")]

    text = printed(*summed(*lines * 150, by=by), width=80)

    assert rows(text)[0][0] == "groq"
    assert "mistral" in text
    assert "+ 150 unpriced" in text
    assert max(map(len, text.splitlines())) <= 80


def test_where_a_line_has_no_room_each_row_is_a_list() -> None:
    """What stood there before was 113 in place of 11362, and nothing in place of a name."""
    lines = [settled(cost_micros=None, provider="a-provider-of-a-long-name")] * 11_362

    text = printed(*summed(*lines, by=("provider", "model")), width=40)

    assert text.splitlines()[2:10] == [
        "provider          a-provider-of-a-long-name",
        "model             llama",
        "exchanges         11362",
        "finished          100.0 %",
        "tokens in         113620",
        "tokens out        227240",
        "cost usd          0.000000 + 11362 unpriced",
        "",
    ]


def test_what_has_no_time_has_a_dash() -> None:
    """Nobody waited nothing."""
    text = printed(*summed(settled(first_content_s=None)))

    assert ["to first content", "-", "-", "-"] in rows(text)


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    """One failure in ten thousand is what somebody looks for."""
    failed = settled(outcome="upstream_failed", error_code="upstream_reset")

    text = printed(*summed(*[settled()] * 3000, failed))

    assert "99.9 %" in text
    assert "0.1 %" in text


def test_a_name_is_shown_as_it_is() -> None:
    """A square bracket is no markup, and a terminal is not commanded."""
    text = printed(*summed(settled(model="[bold]x\x1b[31m"), by=("model",)))

    assert "[bold]x\\x1b[31m" in text


def test_a_log_without_exchanges_says_so() -> None:
    """An empty table looks like a mistake."""
    assert printed(*summed()) == "No exchange in 0 lines."


def test_programs_get_one_object() -> None:
    """With the names of the groups beside the sums."""
    summary = json.loads(render_summary(*summed(settled(), by=("provider", "day"))))

    assert summary["by"] == ["provider", "day"]
    assert summary["groups"][0]["provider"] == "groq"
    assert summary["groups"][0]["day"] == "2026-11-28"
    assert json.loads(render_summary(*summed()))["first"] is None
