"""Requests as a chat front end sends them, on a raw socket: what comes back is kept as bytes.

The rule here: nothing is added to what a test asks for but what HTTP/1.1 needs.
"""

import json
from typing import Any

from tests.plugins.gateway import Gateway
from tests.plugins.raw_caller import Caller, Heard

COMPLETIONS = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hi"}]


def chat_body(model: str = "plain", **fields: Any) -> dict[str, Any]:
    """The body that the front end sends, with fields of the test's own in place of the usual."""
    settings = {"model": model, "temperature": 0.5, "contextLength": 4096, "prompt": "Be brief."}
    return {"chatSettings": settings, "messages": HELLO, "customModelId": "", **fields}


def simulated(**directive: Any) -> str:
    """The name of a model that makes the simulator do what it is told."""
    return "sim:" + json.dumps(directive)


def http_request(
    method: str, path: str, body: object = b"", headers: tuple[str, ...] = ("Connection: close",)
) -> bytes:
    """One request; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = (f"Content-Length: {len(content)}",) if method == "POST" else ()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *length, *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def ask(
    gateway: Gateway, path: str, body: object = b"", *headers: str, method: str = "POST"
) -> Heard:
    """Send one request on a connection of its own and read until that ends."""
    async with Caller(gateway.port) as caller:
        await caller.send(http_request(method, path, body, ("Connection: close", *headers)))
        return await caller.read_to_end()


async def get(gateway: Gateway, path: str) -> Heard:
    """Send one GET."""
    return await ask(gateway, path, method="GET")


async def chat(
    gateway: Gateway, model: str = "plain", *, provider: str = "sim", **fields: Any
) -> Heard:
    """Ask one question as the front end does; `fields` take the place of the usual ones."""
    kind = "Content-Type: text/plain;charset=UTF-8"
    return await ask(gateway, f"/api/chat/{provider}", chat_body(model, **fields), kind)


async def complete(gateway: Gateway, model: str = "plain", **fields: Any) -> Heard:
    """Ask for one completion of the provider `sim`."""
    body = {"model": f"sim/{model}", "messages": HELLO, **fields}
    return await ask(gateway, COMPLETIONS, body, "Content-Type: application/json")


async def stream(gateway: Gateway, model: str = "plain", **fields: Any) -> Heard:
    """Ask for one completion as a stream."""
    return await complete(gateway, model, stream=True, **fields)


def events_of(body: bytes) -> list[bytes]:
    """The events of a stream whose lines end with LF, each with its end."""
    return [event + b"\n\n" for event in body.split(b"\n\n")[:-1]]


def header_of(heard: Heard, name: str) -> str | None:
    """One response header by its name in lower case; None when it was not sent, or not once."""
    lines = heard.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    found = [value for key, value in (line.split(": ", 1) for line in lines) if key.lower() == name]
    return found[0] if len(found) == 1 else None
