"""What the log says of exchanges that are in no book."""

from gateway.ledger.given_up import report_given_up
from tests.plugins.chain import LogLines
from tests.plugins.ledgers import new_attempt, new_row


def test_each_has_a_line_and_all_of_them_have_one(log_lines: LogLines) -> None:
    """An operator can account for them; a cost of the provider's goes before ours."""
    ours = new_attempt(2, used={"tokens_in": 5, "cost_micros": 7})
    rows = [new_row("a"), new_row("b", attempts=(new_attempt(used={}), ours))]

    report_given_up(rows, lost=1)

    first, second = log_lines.find("ledger.row_given_up")
    assert (first["id"], first["request_id"], first["principal"]) == ("a", "req-1", "alice")
    assert (first["tokens_in"], first["tokens_out"], first["cost_micros"]) == (10, 20, 1_400_000)
    assert (second["tokens_in"], second["tokens_out"], second["cost_micros"]) == (5, 0, 7)
    (sums,) = log_lines.find("ledger.given_up")
    assert (sums["count"], sums["lost"]) == (2, 1)
    assert (sums["tokens_in"], sums["tokens_out"], sums["cost_micros"]) == (15, 20, 1_400_007)
