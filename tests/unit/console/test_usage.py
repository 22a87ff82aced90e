"""`/usage`: the sums of the ledger over HTTP."""

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.console.admin import build_admin_app
from gateway.console.readiness import Readiness
from gateway.stores.errors import StoreDownError
from gateway.stores.ledger import UsageQuery, UsageRow
from tests.unit.ledger.test_usage import row_of

Client = TestClient[object, object]


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
async def client(books: Books) -> AsyncIterator[Client]:
    """A caller on the admin listener."""
    app = build_admin_app(Readiness(), render_metrics=lambda: b"", fetch_usage=books.fetch_usage)
    async with TestClient(TestServer(app)) as running:
        yield running


async def test_the_question_is_in_the_query(client: Client, books: Books) -> None:
    """The same words as `gateway usage` has."""
    reply = await client.get("/usage?by=principal&by=day&since=2026-11-01&until=2026-11-02")

    assert (reply.status, reply.content_type) == (200, "application/json")
    assert books.asked == [UsageQuery(("principal", "day"), 1_793_491_200_000, 1_793_577_600_000)]


async def test_a_spreadsheet_gets_csv(client: Client) -> None:
    """With a heading."""
    reply = await client.get("/usage?by=principal&format=csv")

    assert reply.content_type == "text/csv"
    assert (await reply.text()).startswith("principal,requests,")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("by=principle", "none of principal, tenant"),
        ("since=yesterday", "since: needs to be 7d"),
        ("format=xml", "json or csv"),
        ("buy=day", "There is by, since"),
    ],
)
async def test_a_question_that_is_none_is_refused(
    client: Client, books: Books, query: str, said: str
) -> None:
    """A misspelt word must not give the sum of everything."""
    reply = await client.get(f"/usage?{query}")

    answer = await reply.json()
    assert (reply.status, answer["error"]["code"]) == (400, "invalid_request")
    assert said in answer["message"]
    assert books.asked == []


async def test_a_database_that_is_away_is_503(client: Client, books: Books) -> None:
    """And where it is, is nobody's business."""
    books.is_down = True

    reply = await client.get("/usage")

    assert (reply.status, (await reply.json())["error"]["code"]) == (
        503,
        "accounting_unavailable",
    )
    assert "postgresql" not in await reply.text()


async def test_without_a_ledger_there_is_no_such_page() -> None:
    """And the answer says how to get one."""
    app = build_admin_app(Readiness(), render_metrics=lambda: b"")
    async with TestClient(TestServer(app)) as client:
        reply = await client.get("/usage")
        answer = await reply.json()

    assert reply.status == 404
    assert "ledger: {}" in answer["message"]
