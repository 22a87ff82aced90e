"""Lines as a gateway writes them, for the tests of what reads them.

The rule here: an exchange has the fields that the gateway itself gives it.
"""

import json
from typing import Any

from gateway.core.exchange import Exchange
from gateway.telemetry.exchange_fields import describe_exchange

AT = "2026-11-28T12:00:00.000Z"


def settled(timestamp: str = AT, **fields: Any) -> dict[str, Any]:
    """Give the fields of an exchange's line; `fields` are those that matter."""
    exchange = Exchange("r1", 100.0, "POST", "/v1/chat/completions", "127.0.0.1", ())
    known = {
        "principal": "alice",
        "provider": "groq",
        "model": "llama",
        "stream": True,
        "status": 200,
        "outcome": "finished",
        "tokens_in": 10,
        "tokens_out": 20,
        "cost_micros": 30,
        "first_content_s": 0.2,
        "duration_s": 1.0,
        "added_s": 0.001,
        "attempts": 1,
    }
    head = {"timestamp": timestamp, "level": "info", "event": "exchange.settled"}
    return head | describe_exchange(exchange) | known | fields


def other(event: str, timestamp: str = AT, level: str = "info", **fields: Any) -> dict[str, Any]:
    """Give the fields of any other line."""
    return {"timestamp": timestamp, "level": level, "event": event} | fields


def written(*lines: dict[str, Any]) -> bytes:
    """Write lines as the gateway does."""
    return b"".join(line_of(line) + b"\n" for line in lines)


def line_of(fields: dict[str, Any]) -> bytes:
    """Write one line, without its end."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
