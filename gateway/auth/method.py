"""The protocol of authentication methods, and how a key is read from a request.

The rule here: a method judges only its own kind of key. A key that may belong to another method is
not wrong. Keys are never repeated, neither to the caller nor in the log.
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
    """A key of the method's own kind that is wrong."""

    sentence: str  # for the caller: what was wrong, and what to do
    detail: str | None = None  # for the log
    is_vague: bool = False  # it may belong to another method, whose refusal says more


class Method(Protocol):
    """One entry under `auth`."""

    @property
    def wanted(self) -> str:
        """What a caller without a key is told; empty if the method needs none."""

    async def recognise(self, request: web.Request, key: str | None) -> Principal | Refusal | None:
        """Who is calling; a refusal if the key is wrong; None if there is nothing for this method.

        `key` comes from `read_key`. This runs once for every request, so slow answers should be
        cached. AuthUnavailableError if it cannot tell just now.
        """


def read_key(headers: CIMultiDictProxy[str]) -> str | None:
    """The key in the request, empty if it cannot be one; None if there is none.

    AmbiguousAuthError if there are two different keys, or one header twice.
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
