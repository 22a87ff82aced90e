"""What admins send: one small JSON object, its fields all known.

The rule here: a field that is not known is refused and not passed over, so that none takes effect
later by a change somewhere else. Nothing that was sent is quoted back.
"""

import asyncio
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from aiohttp import web

from gateway.core.errors import BodyTooLargeError, InvalidRequestError, RequestTimeoutError
from gateway.wire.strict_json import parse_object

MAX_BODY_BYTES = 64 * 1024

BODY_TIMEOUT_S: web.AppKey[float] = web.AppKey("body_timeout_s", float)
"""How long a body may take; set by `admin`."""

TEXT = "text"
OPTIONAL_TEXT = "text or null"
TEXTS = "a list of texts"


async def read_fields(request: web.Request, known: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the body, each of the kind that `known` gives for it; none for no body.

    InvalidRequestError for any other field or kind; what is no JSON, too large or too slow has
    errors of its own.
    """
    body = await _read(request)
    fields = parse_object(body) if body.strip() else {}
    for name, value in fields.items():
        kind = known.get(name)
        if kind is None:
            raise InvalidRequestError(_name_unknown(name, known))
        if not _is_of(kind, value):
            raise InvalidRequestError(f"`{name}` needs to be {kind}.", param=name)
    return fields


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(request.app[BODY_TIMEOUT_S]):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.") from None
    except TimeoutError:
        raise RequestTimeoutError("The body did not arrive in time.") from None


def _name_unknown(name: str, known: Mapping[str, str]) -> str:
    near = get_close_matches(name[:64], known, 1)
    hint = f"; did you mean `{near[0]}`?" if near else "."
    names = ", ".join(known) or "none"
    return f"The body has an unknown field (known: {names}){hint}"


def _is_of(kind: str, value: object) -> bool:
    if kind == TEXTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str) or (kind == OPTIONAL_TEXT and value is None)
