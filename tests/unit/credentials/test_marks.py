"""How a credential was taken is written down beside the requests, and of the right value."""

import asyncio
from collections.abc import Mapping

import pytest

from gateway.core.exchange import Exchange, Outcome
from gateway.core.tasks import Tasks
from gateway.credentials import marks as module
from gateway.credentials.marks import AGAIN_S, Marks
from gateway.stores.credentials import Mark
from gateway.stores.errors import StoreDownError
from gateway.stores.opening_credentials import OpenCredentials
from tests.plugins.chain import LogLines
from tests.plugins.stored_credentials import new_credential
from tests.plugins.stored_keys import NOW, Clock

LONG_S = 10.0


class Notebook:
    """What was written, and how often."""

    def __init__(self) -> None:
        self.notes: list[dict[int, Mark]] = []
        self.is_down = False
        self.was_asked = asyncio.Event()

    async def note(self, marks: Mapping[int, Mark]) -> None:
        """Take them, or fail."""
        self.was_asked.set()
        if self.is_down:
            raise StoreDownError("out of order")
        self.notes.append(dict(marks))


def exchange_of(version: int, outcome: Outcome = Outcome.FINISHED, **fields: object) -> Exchange:
    """A settled exchange with one value of a credential."""
    exchange = Exchange("id", 1.0, "POST", "/", "unix", (), credential_version=version)
    for name, value in fields.items():
        setattr(exchange, name, value)
    exchange.outcome = outcome
    return exchange


REFUSED = {"error_code": "upstream_credential_rejected", "outcome": Outcome.UPSTREAM_FAILED}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks are gathered for one turn of the loop."""
    monkeypatch.setattr(module, "GATHER_S", 0.0)
    monkeypatch.setattr(module, "RETRY_S", 0.0)


async def test_what_happened_is_in_the_store(
    opened_credentials: OpenCredentials, tasks: Tasks
) -> None:
    """Through the real one: it worked, then it was refused."""
    clock = Clock()
    marks = Marks(opened_credentials.store, tasks, clock)
    credential = new_credential(opened_credentials.keys)
    await opened_credentials.store.save(credential)

    marks.observe(exchange_of(credential.version))
    assert await tasks.wait(LONG_S)
    clock.now += 5
    marks.observe(exchange_of(credential.version, **REFUSED))
    assert await tasks.wait(LONG_S)

    (found,) = (await opened_credentials.store.fetch_of(["user:alice"]))["user:alice"].values()
    assert (found.worked_at, found.failed_at) == (NOW, NOW + 5)


@pytest.mark.parametrize(
    ("exchange", "mark"),
    [
        (exchange_of(7), Mark(worked_at=NOW)),
        (exchange_of(7, Outcome.CLIENT_GONE, first_content_at=2.0), Mark(worked_at=NOW)),
        (exchange_of(7, Outcome.UPSTREAM_FAILED, first_content_at=2.0), Mark(worked_at=NOW)),
        (exchange_of(7, **REFUSED), Mark(failed_at=NOW)),
        (exchange_of(7, Outcome.CLIENT_GONE), None),
        (exchange_of(7, Outcome.UPSTREAM_FAILED, error_code="upstream_server_error"), None),
        (exchange_of(7, Outcome.REJECTED, error_code="request_rate_exceeded"), None),
        (exchange_of(0), None),
    ],
)
async def test_what_says_something_of_a_credential_is_noted(
    tasks: Tasks, exchange: Exchange, mark: Mark | None
) -> None:
    """A provider in trouble says nothing about it, and neither does a caller who left."""
    notebook = Notebook()
    marks = Marks(notebook, tasks, Clock())

    marks.observe(exchange)
    assert await tasks.wait(LONG_S)

    assert notebook.notes == ([] if mark is None else [{7: mark}])


async def test_many_at_once_are_one_writing(tasks: Tasks) -> None:
    """Of several credentials, and of each both that it worked and that it failed."""
    notebook = Notebook()
    marks = Marks(notebook, tasks, Clock())

    for _ in range(100):
        marks.observe(exchange_of(7))
        marks.observe(exchange_of(7, **REFUSED))
        marks.observe(exchange_of(8))
    assert await tasks.wait(LONG_S)

    assert notebook.notes == [{7: Mark(NOW, NOW), 8: Mark(worked_at=NOW)}]


async def test_the_same_is_not_written_again_and_again(tasks: Tasks) -> None:
    """A credential in use is written once a minute; one that is suddenly refused at once."""
    notebook, clock = Notebook(), Clock()
    marks = Marks(notebook, tasks, clock)
    for seconds in (0, 1, AGAIN_S - 2, 1):
        clock.now += seconds
        marks.observe(exchange_of(7))
        assert await tasks.wait(LONG_S)
    marks.observe(exchange_of(7, **REFUSED))
    assert await tasks.wait(LONG_S)

    assert notebook.notes == [
        {7: Mark(worked_at=NOW)},
        {7: Mark(worked_at=NOW + int(AGAIN_S))},
        {7: Mark(failed_at=NOW + int(AGAIN_S))},
    ]


async def test_a_clock_that_was_set_back_is_no_reason_to_write_nothing(tasks: Tasks) -> None:
    """For an hour nobody would have seen whether a credential works."""
    notebook, clock = Notebook(), Clock()
    marks = Marks(notebook, tasks, clock)
    for seconds in (0, -3600):
        clock.now += seconds
        marks.observe(exchange_of(7))
        assert await tasks.wait(LONG_S)

    assert notebook.notes == [{7: Mark(worked_at=NOW)}, {7: Mark(worked_at=NOW - 3600)}]


async def test_a_store_that_is_down_takes_them_later(tasks: Tasks, log_lines: LogLines) -> None:
    """Nobody waits, and nothing is lost but what did not fit."""
    notebook = Notebook()
    notebook.is_down = True
    marks = Marks(notebook, tasks, Clock())
    marks.observe(exchange_of(7))
    await notebook.was_asked.wait()
    marks.observe(exchange_of(8))

    notebook.is_down = False
    assert await tasks.wait(LONG_S)

    noted = {version: mark for note in notebook.notes for version, mark in note.items()}
    assert noted == {7: Mark(worked_at=NOW), 8: Mark(worked_at=NOW)}
    (line,) = log_lines.find("credential.marks_wait")
    assert (line["level"], line["reason"]) == ("debug", "out of order")


async def test_the_last_ones_are_written_at_the_end(tasks: Tasks, log_lines: LogLines) -> None:
    """Or said to be lost."""
    notebook = Notebook()
    marks = Marks(notebook, tasks, Clock())
    marks.observe(exchange_of(7))
    await tasks.cancel()

    await marks.close()

    assert notebook.notes == [{7: Mark(worked_at=NOW)}]
    notebook.is_down = True
    marks.observe(exchange_of(8))
    await tasks.cancel()
    await marks.close()
    (line,) = log_lines.find("credential.marks_lost")
    assert line["count"] == 1


async def test_memory_has_a_bound(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is away for a day."""
    monkeypatch.setattr(module, "MARKS_MAX", 3)
    notebook = Notebook()
    marks = Marks(notebook, tasks, Clock())
    for version in range(1, 9):
        marks.observe(exchange_of(version))
    assert await tasks.wait(LONG_S)

    assert notebook.notes == [{version: Mark(worked_at=NOW) for version in (6, 7, 8)}]
