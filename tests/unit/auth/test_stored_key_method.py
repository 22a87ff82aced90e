"""The entry `gateway_key` without `keys`: what it says of a key, and to whom it leaves the rest."""

from typing import Any, cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.auth.static_keys import UNKNOWN
from gateway.auth.stored_key_method import StoredKeyMethod
from gateway.auth.stored_keys import StoredKeys
from gateway.core.exchange import Exchange
from gateway.core.identity import Principal
from gateway.plugins.api import EXCHANGE

ALICE = Principal("alice", "gateway_key")


class Book:
    """Who holds which key, and what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def recognise(self, key: str, client_address: str) -> Principal | None:
        """Only one key is known."""
        self.asked.append((key, client_address))
        return ALICE if key == "gw_alice" else None


def call() -> web.Request:
    """A request from some address."""
    request = make_mocked_request("POST", "/v1/chat/completions")
    request[EXCHANGE] = Exchange("req-1", 0.0, "POST", "/", "192.0.2.7", ())
    return request


async def test_the_holder_is_who_calls() -> None:
    """The address goes with the question: a key may be for some networks only."""
    book = Book()
    method = StoredKeyMethod(cast("StoredKeys", cast("Any", book)))

    assert await method.recognise(call(), "gw_alice") is ALICE
    assert book.asked == [("gw_alice", "192.0.2.7")]


async def test_an_unknown_key_is_refused_vaguely() -> None:
    """It may be a token, which another method knows better."""
    method = StoredKeyMethod(cast("StoredKeys", cast("Any", Book())))

    assert await method.recognise(call(), "gw_bob") is UNKNOWN
    assert UNKNOWN.is_vague


async def test_who_shows_nothing_is_left_to_other_methods() -> None:
    """Nothing is asked for them."""
    book = Book()
    method = StoredKeyMethod(cast("StoredKeys", cast("Any", book)))

    assert await method.recognise(call(), None) is None
    assert book.asked == []
