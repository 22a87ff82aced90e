"""What a way of recognising callers is, and what all of them are shown.

The rule here: a method judges its own only. What may be another method's is not wrong, and nothing
that was presented is repeated, neither to the caller nor in the log.
"""

import re
from typing import Protocol

import msgspec
from aiohttp import web
from multidict import CIMultiDictProxy

from gateway.core.errors import AmbiguousAuthError
from gateway.core.identity import Principal

_BEARER = re.compile(r"bearer[ \t]+", re.IGNORECASE)


class Refusal(msgspec.Struct, frozen=True):
    """Something of a method's own, and wrong."""

    sentence: str  # for the caller: what was wrong, and what to do
    detail: str | None = None  # for the log
    is_vague: bool = False  # it may be another method's, which then knows better


class Method(Protocol):
    """One entry of `auth`."""

    @property
    def wanted(self) -> str:
        """What a caller is told who has shown nothing; empty where nothing is wanted."""

    async def recognise(self, request: web.Request, key: str | None) -> Principal | Refusal | None:
        """Who is calling; a refusal where that is not so; None where nothing was shown to it.

        `key` is what `read_key` found. Asked once for a request, and on the way of every one: what
        has to be waited for is kept. AuthUnavailableError where it cannot say just now.
        """


def read_key(headers: CIMultiDictProxy[str]) -> str | None:
    """What was presented as a key, empty when it cannot be one; None when nothing was.

    AmbiguousAuthError when two keys that differ were, or one header came twice.
    """
    bearers = headers.getall("Authorization", ())
    plain = headers.getall("x-api-key", ())
    if len(bearers) > 1 or len(plain) > 1:
        raise AmbiguousAuthError("The request has a header with a key twice; send it once.")
    key = None
    if bearers:
        scheme = _BEARER.match(bearers[0])
        key = "" if scheme is None else bearers[0][scheme.end() :].strip(" \t")
    if plain:
        if key is not None and key != plain[0]:
            raise AmbiguousAuthError("Authorization and x-api-key have different keys; send one.")
        key = plain[0]
    return key
