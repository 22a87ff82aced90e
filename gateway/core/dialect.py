"""The two dialects that callers use.

The rule here: the path alone decides the dialect, before anything else is read.
"""

import enum


class Dialect(enum.StrEnum):
    """What the caller sends and expects."""

    OPENAI = "openai"  # /v1: the OpenAI API
    TEXT = "text"  # /api: raw text streams, {"message"} errors


def dialect_of_path(path: str) -> Dialect:
    """The dialect in which a path is answered."""
    return Dialect.OPENAI if path.startswith("/v1/") or path == "/v1" else Dialect.TEXT
