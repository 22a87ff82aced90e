"""All that a plugin may import.

A plugin of this release is an ordinary aiohttp middleware (`@web.middleware`), named in
`gateway.yaml` with its place in the chain. It sees requests and heads, never the relayed
bytes. What the chain knows about a request is reached through the typed keys below, and what the
caller wrote through `read_messages`.
"""

from aiohttp import web

from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import Principal
from gateway.core.usage import Usage
from gateway.plugins.prompts import read_messages

__all__ = [
    "EXCHANGE",
    "RESPONSE_HEADERS",
    "Exchange",
    "Outcome",
    "Principal",
    "Usage",
    "read_messages",
]

EXCHANGE: web.RequestKey[Exchange] = web.RequestKey("exchange", Exchange)
"""The record of this request: id, principal, provider, model; set for every request."""

RESPONSE_HEADERS: web.RequestKey[dict[str, str]] = web.RequestKey("response_headers", dict)
"""Headers to add to whatever answer goes out, also to a stream, whose head leaves long before
its handler returns; set for every request, filled in by whoever has something to add."""
