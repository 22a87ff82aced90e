"""Refuses requests that two servers could read differently.

The rule here: the target and the framing headers are judged as they were sent, before any decoding.
nginx normalises `..%2f` for its own rules but passes the raw path on (measured), so an ambiguous
path could get around somebody's access rule.
"""

import re
from functools import lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler

from gateway.core.errors import (
    InvalidPathError,
    MalformedRequestError,
    UnsupportedEncodingError,
)

_VERSIONS = (HttpVersion11, HttpVersion10)

# A slash, backslash or control character that appears only after decoding; two dots in any
# spelling; characters that must not appear in a path unencoded.
# (Both cases are spelled out: with IGNORECASE the Kelvin sign in the last set would match every k.)
_REFUSED = re.compile(
    r"%(?:2[fF]|5[cC]|[01][0-9a-fA-F]|7[fF])|(?:\.|%2[eE]){2}|[\x00-\x20\\#\x7f-\U0010ffff]"
)
# SDKs write the slashes of `<provider>/<model>` as %2F and encode other characters of an id as they
# like; nothing else in the path may be unusual.
_MODEL_PATH = re.compile(
    r"/v1/models/[a-z0-9][a-z0-9_-]{0,62}"
    r"(?:(?:/|%2[fF])"
    r"(?:(?!\.\.)[A-Za-z0-9._:@+~!$&'()*,;=-]|%(?!2[eEfF]|5[cC]|7[fF])[2-7][0-9a-fA-F])+)+"
)
# A name or an address, and a port (RFC 9110, 7.2). nginx refuses anything else, aiohttp nothing.
_HOST = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


@web.middleware
async def check_path(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let unambiguous requests through."""
    if request.version not in _VERSIONS:  # aiohttp's parser accepts 0.9 and 2.0 too
        raise _refuse_version()
    path = request.raw_path.partition("?")[0]
    if not path.startswith("/"):
        raise InvalidPathError("The request target must be a path, not a URL.")
    if _is_refused(path):
        raise InvalidPathError(
            "The path contains an encoded slash, a backslash, a control character or `..`; "
            "write it without them."
        )
    if request.version < HttpVersion11 and not request.remote:
        raise MalformedRequestError(
            "On a socket of this machine the gateway speaks HTTP/1.1; with nginx write "
            "`proxy_http_version 1.1`."
        )
    headers = request.headers
    if not _names_a_host(headers.get(hdrs.HOST, "")):
        raise MalformedRequestError("The Host header is not a valid host.")
    if hdrs.TRANSFER_ENCODING in headers:
        _check_framing(request)
    if hdrs.CONTENT_ENCODING in headers:
        _check_encoding(", ".join(headers.getall(hdrs.CONTENT_ENCODING)))
    return await handler(request)


def _refuse_version() -> MalformedRequestError:
    refusal = MalformedRequestError("The gateway speaks HTTP/1.1 and HTTP/1.0.")
    refusal.status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED.value
    return refusal


@lru_cache(maxsize=1_024)
def _names_a_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


@lru_cache(maxsize=1_024)  # most paths repeat: 0.1 µs instead of 1
def _is_refused(path: str) -> bool:
    return _REFUSED.search(path) is not None and _MODEL_PATH.fullmatch(path) is None


def _check_framing(request: web.Request) -> None:
    # aiohttp accepts `gzip, chunked` without decoding it. HTTP/1.0 has no such header, so a proxy
    # may have framed the body by something else (RFC 9112, 6.1).
    codings = ", ".join(request.headers.getall(hdrs.TRANSFER_ENCODING))
    if codings.strip().lower() != "chunked" or request.version < HttpVersion11:
        raise MalformedRequestError("The only transfer encoding accepted is chunked.")


def _check_encoding(codings: str) -> None:
    if codings.strip().lower() not in {"", "identity"}:
        raise UnsupportedEncodingError("Send the body without Content-Encoding.")
