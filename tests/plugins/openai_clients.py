"""The `openai` package as its users have it, made quickly.

The rule here: all clients share one TLS context. Each would read all authorities of the system for
its own, which takes 25 ms; the addresses here are plain HTTP.
"""

import ssl
from functools import cache
from typing import Any

import openai


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def async_client(base_url: str, **options: Any) -> openai.AsyncOpenAI:
    """A client of the package that calls an address, with the package's own defaults."""
    client = openai.DefaultAsyncHttpxClient(verify=_context())
    return openai.AsyncOpenAI(base_url=base_url, http_client=client, **options)


def blocking_client(base_url: str, **options: Any) -> openai.OpenAI:
    """The same of the client that blocks."""
    client = openai.DefaultHttpxClient(verify=_context())
    return openai.OpenAI(base_url=base_url, http_client=client, **options)
