"""`gateway chat`: one question and its answer, through a running gateway.

The rule here: an answer that is not whole ends in exit code 1, whatever was printed before.
"""

import asyncio
import json
import os
import re
import sys

import typer
from aiohttp import (
    ClientConnectionError,
    ClientConnectorCertificateError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    InvalidURL,
    NonHttpUrlClientError,
)

from gateway.wire.chunk import EventKind, StreamReader
from gateway.wire.provider_errors import fault_of
from gateway.wire.sse import EventSplitter
from gateway.wire.text_encoder import TextEncoder

CONNECT_S = 5
SILENCE_S = 300
PATH = "/v1/chat/completions"
OK = 200
KEY = re.compile(r"[!-~]+")
# Control characters, and the marks that turn the direction of text around. Not all that is called
# unprintable: a no-break space is, and the joiner in the emoji of a family.
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
UNAUTHENTICATED = "unauthenticated"
KEY_HINT = " `gateway chat` shows the one in GATEWAY_KEY or --key."


class AnswerError(Exception):
    """No answer, or half of one; the text is for whoever asked."""


def chat(target: str, text: str, url: str, key: str | None) -> int:
    """Print the answer as it comes; 1 when it does not come to its end."""
    try:
        asyncio.run(_ask(target, _as_typed(text), url, key))
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
    headers = {} if key is None else {"Authorization": f"Bearer {_checked(key)}"}
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
        raise AnswerError(_explain(error, url)) from error


def _explain(error: Exception, url: str) -> str:
    if isinstance(error, ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "it proves nothing")
        return f"The certificate of {url} is not trusted here: {reason}."
    if isinstance(error, ClientSSLError):
        return f"There is no TLS at {url}; its address may begin with http://."
    if isinstance(error, ClientConnectionError | TimeoutError):
        return f"There is no gateway at {url}; `gateway serve` starts one."
    if isinstance(error, InvalidURL | NonHttpUrlClientError):
        return f"{url} is not the address of a gateway, such as http://127.0.0.1:8080."
    return f"{url} cannot be called: {type(error).__name__}."


def _checked(key: str) -> str:
    """The key, which has to fit into a header; a file often leaves a line break behind it."""
    if KEY.fullmatch(key) is None:
        raise AnswerError(
            "The key in GATEWAY_KEY or --key contains a space, a line break or another character "
            "that no key has."
        )
    return key


def _as_typed(text: str) -> str:
    """The text as it stood on the terminal, which need not have the encoding of the locale."""
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(text).decode()
        except UnicodeDecodeError as error:
            raise AnswerError("The text is not UTF-8.") from error
    return text


async def _print_answer(response: ClientResponse) -> None:
    """Read as the gateway itself does: what it took for a whole answer is one here."""
    splitter, reader, encoder = EventSplitter(), StreamReader(), TextEncoder()
    async for piece in response.content.iter_any():
        for event in splitter.feed(piece):
            _print_event(event, reader, encoder)
    if splitter.held:  # a last event without its blank line
        _print_event(splitter.held, reader, encoder)
    if not reader.is_complete:
        raise AnswerError("\nThe answer broke off.")
    typer.echo()


def _print_event(event: bytes, reader: StreamReader, encoder: TextEncoder) -> None:
    if reader.done:
        return
    if reader.read(event) is EventKind.FAULT:
        raise AnswerError(f"\n{_fault_in(reader) or 'The answer broke off.'}")
    if reader.text:
        sys.stdout.write(_printable(encoder.encode(reader.text).decode()))
        sys.stdout.flush()


def _fault_in(reader: StreamReader) -> str:
    fault = fault_of({"error": reader.fault}, label="The provider")
    return "" if fault is None else _printable(fault.message)


async def _read_refusal(response: ClientResponse) -> str:
    body = await response.read()
    try:
        error = _error_in(json.loads(body))
    except ValueError:
        error = {}
    message = error.get("message")
    if not isinstance(message, str):
        return (
            f"{response.url.origin()} answered {response.status}, but not like a gateway; "
            "`gateway serve` prints the right address as `listening`."
        )
    hint = KEY_HINT if error.get("code") == UNAUTHENTICATED else ""
    return f"{_printable(message)}{hint}"


def _error_in(value: object) -> dict[str, object]:
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else {}


def _printable(text: str) -> str:
    """The text without commands to the terminal, which a model could be made to write."""
    return COMMANDS.sub("", text)
