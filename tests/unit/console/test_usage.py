"""`/usage`: the sums of the ledger over HTTP."""

from collections.abc import Sequence

import msgspec
import pytest

from gateway.stores.errors import StoreDownError
from gateway.stores.ledger import UsageQuery, UsageRow
from tests.plugins.admins import AdminCaller, StartAdmin
from tests.plugins.ledgers import row_of


class Books:
    """What is asked, and what is answered."""

    def __init__(self) -> None:
        self.asked: list[UsageQuery] = []
        self.is_down = False

    async def fetch_usage(self, query: UsageQuery) -> Sequence[UsageRow]:
        """One sum for Alice."""
        self.asked.append(query)
        if self.is_down:
            raise StoreDownError("postgresql://db/gateway: Connection refused")
        return [msgspec.structs.replace(row_of("alice"), of=("alice",) * len(query.by))]


@pytest.fixture
def books() -> Books:
    """A ledger."""
    return Books()


@pytest.fixture
async def admin(start_admin: StartAdmin, books: Books) -> AdminCaller:
    """An admin, where a ledger is kept."""
    return await start_admin(fetch_usage=books.fetch_usage)


async def test_the_question_is_in_the_query(admin: AdminCaller, books: Books) -> None:
    """The same words as `gateway usage` has."""
    answer = await admin.get("/usage?by=principal&by=day&since=2026-11-01&until=2026-11-02")

    assert (answer.status, answer.body["by"]) == (200, ["principal", "day"])
    assert books.asked == [UsageQuery(("principal", "day"), 1_793_491_200_000, 1_793_577_600_000)]


@pytest.mark.parametrize("plus", ["+", "%2B"])
async def test_a_time_zone_may_be_written_as_it_is(
    admin: AdminCaller, books: Books, plus: str
) -> None:
    """In an address a plus is a blank; who copies a time into one does not think of that."""
    answer = await admin.get(f"/usage?since=2026-11-01T01:00{plus}01:00")

    assert answer.status == 200
    assert books.asked == [UsageQuery((), 1_793_491_200_000, None)]


async def test_a_spreadsheet_gets_csv(admin: AdminCaller) -> None:
    """With a heading."""
    answer = await admin.get("/usage?by=principal&format=csv")

    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.body.startswith("principal,requests,")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("by=principle", "of principal, tenant"),
        ("since=yesterday", "since: needs to be 7d"),
        ("format=xml", "json or csv"),
        ("buy=day", "There is by, since"),
    ],
)
async def test_a_question_that_is_none_is_refused(
    admin: AdminCaller, books: Books, query: str, said: str
) -> None:
    """A misspelt word must not give the sum of everything."""
    answer = await admin.get(f"/usage?{query}")

    assert answer.outcome == (400, "invalid_request")
    assert said in answer.body["message"]
    assert books.asked == []


async def test_a_database_that_is_away_is_503(admin: AdminCaller, books: Books) -> None:
    """And where it is, is nobody's business."""
    books.is_down = True

    answer = await admin.get("/usage")

    assert answer.outcome == (503, "accounting_unavailable")
    assert "postgresql" not in str(answer.body)


async def test_without_a_ledger_there_is_no_such_page(start_admin: StartAdmin) -> None:
    """And the answer says how to get one."""
    admin = await start_admin()

    answer = await admin.get("/usage")

    assert answer.status == 404
    assert "ledger: {}" in answer.body["message"]
