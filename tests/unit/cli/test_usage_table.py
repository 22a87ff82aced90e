"""Sums of the ledger as people read them."""

import io

import msgspec
import pytest
from rich.console import Console

from gateway.cli.usage_table import print_usage
from gateway.stores.ledger import UsageQuery, UsageRow
from tests.plugins.ledgers import row_of

BY = UsageQuery(("principal",))
BUSY = UsageRow(("alice",), 28_481, 28_490, 1_423_512, 854_112, 512, 77, 31_317_000, 12_345, 3, 9)


def show(query: UsageQuery, *rows: UsageRow, width: int) -> str:
    """What stands on a terminal of so many columns."""
    out = io.StringIO()
    print_usage(query, rows, Console(file=out, width=width))
    return out.getvalue()


def test_a_name_is_shown_as_it_is() -> None:
    """A square bracket is no markup."""
    assert "[bold]x" in show(BY, row_of("[bold]x"), width=200)


def test_what_is_nothing_everywhere_makes_room() -> None:
    """A number that ends in … is none, and most terminals have 80 columns."""
    quiet = UsageRow(("alice",), 28_481, 28_490, 1_423_512, 854_112, 0, 0, 31_317_000, 0, 0, 0)
    other = msgspec.structs.replace(quiet, of=("a-principal-of-a-very-long-name@example.org",))

    shown = show(BY, quiet, other, width=80)

    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    for number in ("28481", "28490", "1423512", "854112", "31.317000"):
        assert number in shown
    assert "unpriced" not in shown
    assert "unpriced" in show(BY, quiet, width=160)


def test_where_a_line_has_no_room_each_sum_is_a_list() -> None:
    """With every number, whole."""
    bob = msgspec.structs.replace(BUSY, of=("bob",))

    assert show(BY, BUSY, bob, width=40).splitlines()[:13] == [
        "principal         alice",
        "requests          28481",
        "attempts          28490",
        "tokens in         1423512",
        "tokens out        854112",
        "tokens cached     512",
        "tokens reasoning  77",
        "cost usd          31.317000",
        "provider cost usd 0.012345",
        "estimated         3",
        "unpriced          9",
        "",
        "principal         bob",
    ]


def test_a_pipe_has_room_for_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever searches it wants a line for each sum."""
    by = UsageQuery(("principal", "tenant", "provider", "model", "outcome", "day"))
    names = ("alice", "a-tenant-of-a-name", "a-provider-of-a-name", "m", "finished", "2026-11-28")
    row = msgspec.structs.replace(BUSY, of=names, cost_micros=10**15, provider_cost_micros=10**15)

    print_usage(by, [row])

    (line,) = [line for line in capsys.readouterr().out.splitlines() if "alice" in line]
    assert "1000000000.000000" in line
    assert "…" not in line


def test_a_table_without_rows_has_a_heading() -> None:
    """Nothing was used, and that is an answer."""
    assert "principal" in show(BY, width=80)
