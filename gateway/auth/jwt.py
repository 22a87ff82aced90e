"""Tokens in `Authorization: Bearer`, such as those of an OpenID Connect provider.

The rule here: anything that does not look like a token is a key for another method, and ignored.
"""

from aiohttp import web

from gateway.auth.method import Refusal
from gateway.auth.verified_tokens import digest_of
from gateway.auth.verifier import Verifier
from gateway.core.identity import Principal

_OPENING = "eyJ"  # base64url of `{"`, with which every header begins
_DOTS = 2


class BearerTokens:
    """The tokens of one issuer."""

    wanted = "A token is needed, as `Authorization: Bearer <token>`; none was sent."

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def recognise(self, request: web.Request, key: str | None) -> Principal | Refusal | None:  # noqa: ARG002 - a key is all it wants
        """Who the token is about."""
        if key is None or not looks_like_token(key):
            return None
        digest = digest_of(key)
        return self._verifier.verified.find(digest) or await self._verifier.verify(key, digest)


def looks_like_token(key: str) -> bool:
    """Whether a key was meant to be a token, even a truncated one."""
    return key.startswith(_OPENING) or key.count(".") == _DOTS
