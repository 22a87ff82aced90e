"""Typed keys under which the chain passes values on, and the app keeps its parts; names of routes.

The rule here: a value is set by exactly one middleware (or by `app`), named in its docstring.
"""

import msgspec
from aiohttp import web

from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.config.settings import Settings
from gateway.core.credential import Credential
from gateway.core.dialect import Dialect
from gateway.core.held_bodies import HeldBody
from gateway.wire.chat_request import ChatRequest
from gateway.wire.completions_request import CompletionsRequest

REGISTRY: web.AppKey[Registry] = web.AppKey("registry", Registry)
"""What providers.yaml says; set by `app`."""

CHAT = "chat"
COMPLETIONS = "completions"
RELAYED_ROUTES = frozenset({CHAT, COMPLETIONS})
"""Names of the routes that ask a provider; all others are answered by the gateway itself."""

SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
"""What gateway.yaml says; set by `app`."""


class Worker(msgspec.Struct, frozen=True):
    """Which of the processes of one gateway this is."""

    index: int = 0  # from 0; what a process keeps in files of its own is named by it
    is_restarted: bool = False  # in the place of one that died


ONLY_WORKER = Worker()

WORKER: web.AppKey[Worker] = web.AppKey("worker", Worker)
"""Set by `app`."""


PREPARED: web.RequestKey[web.StreamResponse | None] = web.RequestKey("prepared", web.StreamResponse)
"""The response whose head is sent, whoever prepared it; None until then, set by `guard_stream`: to
look for what is not there takes four times as long, and each request is asked four times."""


class Call(msgspec.Struct, frozen=True):
    """A request for an answer, read and resolved: what is asked of which provider."""

    dialect: Dialect
    provider: Provider
    model: str
    stream: bool
    wants_usage: bool


CALL: web.RequestKey[Call] = web.RequestKey("call", Call)
"""Set by `read_request` for the routes that are relayed."""

Prompt = CompletionsRequest | ChatRequest
PROMPT: web.RequestKey[Prompt] = web.RequestKey("prompt", CompletionsRequest)
"""The body as it was read; set by `read_request`, and taken away by the relay as soon as nothing
is sent again."""

HELD_BODY: web.RequestKey[HeldBody] = web.RequestKey("held_body", HeldBody)
"""What the body counts for; set by `read_request`, let go of by the relay at that moment."""

CREDENTIAL: web.RequestKey[Credential | None] = web.RequestKey("credential", Credential)
"""Set by `check_key`: what we show the provider; None for one that needs nothing."""
