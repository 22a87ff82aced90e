"""The session cookie that Supabase's libraries set in a browser.

The rule here: only the access token in it is used; nothing is refreshed and no cookie is set. A
browser sends cookies with any page's requests, so a request that changes something must come from a
page of the gateway's own origin, or of an origin that the operator listed.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

import msgspec
from aiohttp import web

from gateway.auth.method import Refusal
from gateway.auth.origins import is_from_own_page
from gateway.auth.verified_tokens import digest_of
from gateway.auth.verifier import Verifier
from gateway.core.identity import Principal

MAX_PARTS = 32
BASE64 = "base64-"  # the value's prefix since version 0.4 of @supabase/ssr
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_SIGN_IN = "Please sign in again."
_AMBIGUOUS = Refusal(f"Two different session cookies were sent. {_SIGN_IN}")
_UNREADABLE = Refusal(f"The session cookie cannot be read. {_SIGN_IN}")
_FOREIGN_PAGE = Refusal(
    "The session cookie counts for pages of the gateway's own origin and of `server.cors_origins` "
    "only; this request does not say that it comes from one."
)


class SupabaseCookie:
    """The sessions of one Supabase project."""

    wanted = "User not found. Please sign in."

    def __init__(self, cookie: str, verifier: Verifier, origins: Sequence[str]) -> None:
        self._cookie = cookie
        self._verifier = verifier
        self._origins = origins

    async def recognise(self, request: web.Request, key: str | None) -> Principal | Refusal | None:  # noqa: ARG002 - a cookie is all it wants
        """Whose session the cookie belongs to."""
        session = join_cookie(request.headers.getall("Cookie", ()), self._cookie)
        if not session or isinstance(session, Refusal):
            return session or None
        if request.method not in SAFE_METHODS and not is_from_own_page(
            request.headers, self._origins
        ):
            return _FOREIGN_PAGE
        digest = digest_of(session)
        known = self._verifier.verified.find(digest)
        if known is not None:
            return known
        token = read_access_token(session)
        if token is None:
            return _UNREADABLE
        return _for_people(await self._verifier.verify(token, digest))


def join_cookie(headers: Iterable[str], name: str) -> str | Refusal:
    """The value of a cookie, joined from its parts; empty if it was not sent."""
    parts: dict[str, str] = {}
    for header in headers:
        if name not in header:
            continue
        for pair in header.split(";"):
            found, _, value = pair.strip().partition("=")
            is_part = found == name or found.startswith(f"{name}.")
            if is_part and parts.setdefault(found, value) != value:
                return _AMBIGUOUS  # a page on a sibling host can add its own
    if parts.get(name):
        return parts[name]
    numbered: list[str] = []
    while (part := parts.get(f"{name}.{len(numbered)}")) and len(numbered) < MAX_PARTS:
        numbered.append(part)
    if not numbered and any(parts.values()):
        return _UNREADABLE  # the first part is missing
    return "".join(numbered)


def read_access_token(session: str) -> str | None:
    """The access token in the value of a cookie; None if there is none."""
    try:
        text = unquote(session, errors="strict")
        if text.startswith(BASE64):
            encoded = text.removeprefix(BASE64).rstrip("=").encode("ascii")
            padded = encoded + b"=" * (-len(encoded) % 4)
            content = base64.b64decode(padded, altchars=b"-_", validate=True)
        else:
            content = text.encode()
        return msgspec.json.decode(content, type=_Session).access_token
    except (ValueError, binascii.Error, RecursionError):
        return None


class _Session(msgspec.Struct):
    access_token: str


def _for_people(found: Principal | Refusal) -> Principal | Refusal:
    """Reword a refusal for users of a front end, who have never heard of tokens."""
    if isinstance(found, Principal):
        return found
    sentence = found.sentence.replace("The token", "The session's token")
    return Refusal(f"{sentence} {_SIGN_IN}", detail=found.detail, is_vague=found.is_vague)
