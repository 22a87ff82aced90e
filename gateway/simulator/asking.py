"""What a request asks for: the few facts of it that change an answer.

The rule here: a request is read leniently, as providers read it; what is not there has its default.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

import msgspec

MAX_TOPIC_CHARS = 48
MAX_TOPIC_WORDS = 7
MAX_CHOICES = 16


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    http_version: str

    def header(self, name: str) -> str | None:
        """The first header of that name, which is given in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass(frozen=True, slots=True)
class Ask:
    """What was asked, as far as an answer depends on it."""

    model: str = "demo"
    stream: bool = False
    include_usage: bool = False
    choices: int = 1
    max_tokens: int | None = None
    prompt_tokens: int = 1
    is_http_1_0: bool = False
    is_head: bool = False
    is_last: bool = False


def parse_body(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body, or None when there is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_ask(request: Request, body: dict[str, Any]) -> Ask:
    """What a chat request asks for."""
    options = body.get("stream_options")
    texts = _message_texts(body.get("messages"))
    limit = body.get("max_completion_tokens")
    if limit is None:  # as it is where a client writes what it does not set
        limit = body.get("max_tokens")
    choices = body.get("n")
    model = body.get("model")
    return Ask(
        model=model if isinstance(model, str) else "demo",
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        choices=min(max(choices, 1), MAX_CHOICES) if isinstance(choices, int) else 1,
        max_tokens=limit if isinstance(limit, int) and limit > 0 else None,
        # Four characters a token: the usual rule of thumb, and the same for every run.
        prompt_tokens=max(1, sum(len(text) for text in texts) // 4),
        is_http_1_0=request.http_version == "1.0",
        is_head=request.method == "HEAD",
        is_last="close" in (request.header("connection") or "").lower(),
    )


def _message_texts(messages: object) -> list[str]:
    found: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        parts = content if isinstance(content, list) else [{"text": content}]
        texts = [part.get("text") for part in parts if isinstance(part, dict)]
        found.append(" ".join(text for text in texts if isinstance(text, str)))
    return found


def read_topic(body: dict[str, Any]) -> str:
    """A few harmless words of the last message: never its whole length, never its markup."""
    texts = _message_texts(body.get("messages")) or [""]
    words = texts[-1][: 8 * MAX_TOPIC_CHARS].split()
    kept = "".join(c for c in " ".join(words[:MAX_TOPIC_WORDS]) if _is_of_a_word(c))
    return kept[:MAX_TOPIC_CHARS].strip()


def _is_of_a_word(char: str) -> bool:
    # The vowels of Hindi and Thai are marks, and no letters to Python.
    return char.isalnum() or char in " '-" or unicodedata.category(char).startswith("M")
