"""The two ways in which callers speak to us.

The rule here: a dialect is decided by the path, before anything else is read.
"""

import enum


class Dialect(enum.StrEnum):
    """What the caller sends and expects."""

    OPENAI = "openai"  # /v1: the OpenAI API
    TEXT = "text"  # /api: raw text streams, {"message"} errors


def dialect_of_path(path: str) -> Dialect:
    """The dialect that a path is answered in."""
    return Dialect.OPENAI if path.startswith("/v1/") or path == "/v1" else Dialect.TEXT
