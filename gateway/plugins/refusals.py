"""What an operator's middleware refuses with, as the error that its caller reads.

The rule here: the operator wrote the sentence and the headers, so both go out as they are; aiohttp
raises the same classes for reasons of its own, and those have sentences of ours.
"""

from aiohttp import web

from gateway.core.errors import DownstreamError, GatewayError, InternalError

FIRST_ERROR = 400
FIRST_OF_OURS = 500
# They are about a body that is not sent, or about the connection.
_NOT_PASSED_ON = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "transfer-encoding"}
)

BY_OPERATOR: web.ResponseKey[bool] = web.ResponseKey("by_operator", bool)
"""Set by `guarding` on what a middleware of the operator's has raised."""


def translate_refusal(refusal: web.HTTPException) -> GatewayError:
    """The same refusal as an error, to be said in the caller's dialect."""
    kind = InternalError if refusal.status >= FIRST_OF_OURS else DownstreamError
    translated = kind(
        _find_sentence(refusal) or f"{refusal.reason}.",
        headers={
            name: value
            for name, value in refusal.headers.items()
            if name.lower() not in _NOT_PASSED_ON
        },
    )
    translated.status = refusal.status
    return translated


def _find_sentence(refusal: web.HTTPException) -> str | None:
    try:
        return refusal.text
    except (UnicodeDecodeError, LookupError):  # a body of bytes, or in no encoding that there is
        return None
