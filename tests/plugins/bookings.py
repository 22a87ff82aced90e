"""Exchanges as the books see them begin and end, and a disk that is full.

The rule here: an attempt is written ahead as the relay does it.
"""

import resource
from collections.abc import Callable
from decimal import Decimal

from gateway.core.attempts import AttemptRecord
from gateway.core.clock import monotonic
from gateway.core.cost import make_price
from gateway.core.errors import GatewayError
from gateway.core.exchange import Exchange, Observer, Outcome
from gateway.core.identity import Principal
from gateway.ledger.ledger import Ledger

PRICE = make_price(Decimal(2), Decimal(8))  # dollars for a million


def new_exchange(**fields: object) -> Exchange:
    """A request that has been read."""
    usual = {
        "request_id": "req-1",
        "started_at": 100.0,
        "method": "POST",
        "path": "/v1/chat/completions",
        "client_address": "127.0.0.1",
        "observers": (),
        "principal": Principal("alice", "gateway_key", "acme"),
        "provider": "sim",
        "model": "m",
        "stream": True,
        "prompt_tokens": 50,
        "price": PRICE,
        "bytes_in": 200,
    }
    return Exchange(**{**usual, **fields})


def settling(ledger: Ledger) -> Observer:
    """An observer that books each exchange by itself."""
    return lambda exchange: ledger.settle_all([exchange])


def begin(ledger: Ledger, **fields: object) -> Exchange:
    """An exchange whose first attempt begins."""
    exchange = new_exchange(started_at=monotonic(), observers=(settling(ledger),), **fields)
    try_once(ledger, exchange)
    return exchange


def try_once(ledger: Ledger, exchange: Exchange) -> None:
    """Another attempt, as the relay makes it."""
    number = exchange.attempts + 1
    record = AttemptRecord(number, "sim", "m", "SIM_API_KEY", monotonic())
    exchange.note_attempt(record)
    told: list[GatewayError | None] = []
    ledger.write_ahead(exchange, record).when_done(told.append)
    (refusal,) = told
    if refusal is not None:
        exchange.take_back_attempt()
        raise refusal


def at_once(callback: Callable[[], None]) -> None:
    """A turn of the loop that is over at once."""
    callback()


def finish(exchange: Exchange, outcome: Outcome = Outcome.FINISHED) -> None:
    """It ends."""
    exchange.settle(outcome, at=monotonic())


def no_file_grows() -> None:
    """What a full disk is to a process."""
    allow_file_bytes(0)


def allow_file_bytes(count: int) -> None:
    """Let files grow to so many bytes."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))


def files_grow() -> None:
    """Room again."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
