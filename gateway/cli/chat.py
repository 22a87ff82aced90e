"""`gateway chat`: one question and its answer, through a running gateway.

The rule here: an answer that is not whole ends in exit code 1, whatever was printed before.
"""

import asyncio
import json
import sys
from typing import Any

import typer
from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    InvalidURL,
    NonHttpUrlClientError,
)

from gateway.wire.sse import EventSplitter, parse_event

CONNECT_S = 5
SILENCE_S = 300
PATH = "/v1/chat/completions"
DONE = b"[DONE]"
OK = 200


class AnswerError(Exception):
    """No answer, or half of one; the text is for whoever asked."""


def chat(target: str, text: str, url: str, key: str | None) -> int:
    """Print the answer as it comes; 1 when it does not come to its end."""
    try:
        asyncio.run(_ask(target, text, url, key))
    except AnswerError as error:
        typer.echo(str(error), err=True)
        return 1
    except KeyboardInterrupt:
        typer.echo()
        return 1
    return 0


async def _ask(target: str, text: str, url: str, key: str | None) -> None:
    question = {
        "model": target,
        "messages": [{"role": "user", "content": text}],
        "stream": True,
    }
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    timeout = ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
    begun = False
    try:
        async with (
            ClientSession(timeout=timeout, headers=headers) as session,
            session.request(
                "POST",
                f"{url.rstrip('/').removesuffix('/v1')}{PATH}",  # as SDKs are told it, or without
                json=question,
                allow_redirects=False,
            ) as response,
        ):
            if response.status != OK:
                raise AnswerError(await _read_refusal(response))
            begun = True
            await _print_answer(response)
    except (ClientError, TimeoutError, ValueError) as error:
        if begun:
            raise AnswerError("\nThe answer broke off.") from error
        if isinstance(error, ClientConnectionError | TimeoutError):
            reason = f"There is no gateway at {url}; `gateway serve` starts one."
            raise AnswerError(reason) from error
        if isinstance(error, InvalidURL | NonHttpUrlClientError):
            reason = f"{url} is not the address of a gateway, such as http://127.0.0.1:8080."
            raise AnswerError(reason) from error
        raise AnswerError(f"{url} cannot be called: {type(error).__name__}.") from error


async def _print_answer(response: ClientResponse) -> None:
    splitter = EventSplitter()
    async for piece in response.content.iter_any():
        for event in splitter.feed(piece):
            _, payload = parse_event(event)
            if payload is None:
                continue
            if payload == DONE:
                typer.echo()
                return
            _print_chunk(json.loads(payload))
    raise AnswerError("\nThe answer broke off.")


def _print_chunk(chunk: dict[str, Any]) -> None:
    if chunk.get("error"):
        raise AnswerError(f"\n{_message_in(chunk) or 'The answer broke off.'}")
    for choice in chunk.get("choices") or []:
        text = (choice.get("delta") or {}).get("content")
        if isinstance(text, str):
            sys.stdout.write(_printable(text))
            sys.stdout.flush()


async def _read_refusal(response: ClientResponse) -> str:
    body = await response.read()
    try:
        sentence = _message_in(json.loads(body))
    except ValueError:
        sentence = None
    return sentence or f"The gateway answered {response.status}."


def _message_in(value: object) -> str | None:
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return _printable(message) if isinstance(message, str) else None


def _printable(text: str) -> str:
    """The text without commands to the terminal, which a model could be made to write."""
    if text.isprintable():
        return text
    return "".join(char for char in text if char.isprintable() or char in "\n\t")
