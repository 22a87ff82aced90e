"""Refuses requests that two servers could read in two ways.

The rule here: decided on the bytes as they were sent, before any routing. nginx normalises
`..%2f` for its own rules and passes the raw path on (measured), so a path that means two things
is a hole in somebody's access rule.
"""

import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.core.errors import (
    InvalidPathError,
    MalformedRequestError,
    UnsupportedEncodingError,
)

_ENCODED = re.compile(r"%(?:2f|5c|0[0-9a-f]|1[0-9a-f]|7f)", re.IGNORECASE)
_DOTS = re.compile(r"(?:^|/)(?:\.|%2e){2}(?:/|;|$)", re.IGNORECASE)
_RAW = re.compile(r"[\\\x00-\x20\x7f-\uffff]")
# SDKs write the slash of `<provider>/<model>` this way; nothing else in the path may be odd.
_MODEL_PATH = re.compile(r"/v1/models/[a-z0-9_-]+(?:(?:%2[fF]|/)[A-Za-z0-9._:@~-]+)+")


@web.middleware
async def check_path(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let plain requests through."""
    path = request.raw_path.partition("?")[0]
    if not path.startswith("/"):
        raise InvalidPathError("The request target must be a path, not a URL.")
    if ("%" in path or "." in path or "\\" in path or not path.isascii()) and _is_odd(path):
        raise InvalidPathError(
            "The path holds an encoded slash, backslash or control character, or dots that "
            "lead upwards; write it plainly."
        )
    headers = request.headers
    if hdrs.TRANSFER_ENCODING in headers:
        codings = headers.getall(hdrs.TRANSFER_ENCODING)
        if len(codings) != 1 or codings[0].strip().lower() != "chunked":
            raise MalformedRequestError("The only transfer encoding taken is chunked.")
    if headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity":
        raise UnsupportedEncodingError("Send the body without Content-Encoding.")
    return await handler(request)


def _is_odd(path: str) -> bool:
    if _RAW.search(path) or _DOTS.search(path):
        return True
    return bool(_ENCODED.search(path)) and not _MODEL_PATH.fullmatch(path)
