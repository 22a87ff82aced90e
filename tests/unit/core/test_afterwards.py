"""Observers that hear of settled exchanges a turn later, all of them together."""

import asyncio
from collections.abc import Sequence
from typing import Any

from gateway.core.afterwards import Afterwards, each
from gateway.core.exchange import Exchange, Outcome


def settle(afterwards: Afterwards, name: str) -> None:
    """One that ends now."""
    exchange = Exchange(name, 1.0, "POST", "/", "unix", (afterwards.take,))
    exchange.settle(Outcome.FINISHED, at=2.0)


async def test_what_ends_in_one_turn_is_told_together() -> None:
    """Each once, in the order of their ends, to one observer after the other."""
    told: list[tuple[str, list[str]]] = []

    def note(observer: str, exchanges: Sequence[Exchange]) -> None:
        told.append((observer, [one.request_id for one in exchanges]))

    afterwards = Afterwards()
    afterwards.observers = (
        lambda exchanges: note("books", exchanges),
        each(lambda exchange: note("log", [exchange])),
    )

    settle(afterwards, "a")
    settle(afterwards, "b")
    assert told == []
    await asyncio.sleep(0)
    settle(afterwards, "c")
    await asyncio.sleep(0)

    assert told == [
        ("books", ["a", "b"]),
        ("log", ["a"]),
        ("log", ["b"]),
        ("books", ["c"]),
        ("log", ["c"]),
    ]


async def test_the_rest_is_told_before_the_books_are_closed() -> None:
    """Nobody waits for another turn of a loop that is about to end; and nothing is told twice."""
    told: list[str] = []
    afterwards = Afterwards()
    afterwards.observers = (each(lambda exchange: told.append(exchange.request_id)),)
    settle(afterwards, "a")

    afterwards.tell()
    await asyncio.sleep(0)

    assert told == ["a"]


async def test_an_observer_that_fails_keeps_back_nobody() -> None:
    """Neither what else ended in that turn, nor those who are told after it; and it is reported."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    told: list[str] = []

    def fail_for_a(exchange: Exchange) -> None:
        if exchange.request_id == "a":
            raise ValueError(exchange.request_id)
        told.append(exchange.request_id)

    def fail(exchanges: Sequence[Exchange]) -> None:
        raise ValueError(len(exchanges))

    afterwards = Afterwards()
    afterwards.observers = (fail, each(fail_for_a), each(lambda one: told.append(one.request_id)))

    settle(afterwards, "a")
    settle(afterwards, "b")
    await asyncio.sleep(0)

    assert told == ["b", "a", "b"]
    assert [str(context["exception"]) for context in reported] == ["2", "a"]
