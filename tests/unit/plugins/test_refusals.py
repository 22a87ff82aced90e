"""An operator's refusal as an error of ours; in a whole chain: tests/faults."""

import pytest
from aiohttp import web

from gateway.core.errors import DownstreamError, InternalError
from gateway.plugins.refusals import translate_refusal

BYTES = [web.HTTPForbidden(text="x"), web.HTTPForbidden(text="x")]
BYTES[0].body = b"\xff\xfe"
BYTES[1].body, BYTES[1].charset = b"x", "no-such-charset"


def test_its_words_status_and_headers_stay() -> None:
    """Whoever runs the gateway wrote them for its callers."""
    refusal = web.HTTPUnauthorized(text="Log in.", headers={"WWW-Authenticate": "Basic"})

    translated = translate_refusal(refusal)

    assert (translated.status, translated.public) == (401, "Log in.")
    assert isinstance(translated, DownstreamError)
    assert dict(translated.headers) == {"WWW-Authenticate": "Basic"}


def test_5xx_is_not_the_callers_fault() -> None:
    """An SDK tells by its type what to say."""
    assert isinstance(translate_refusal(web.HTTPBadGateway(text="x")), InternalError)


@pytest.mark.parametrize("refusal", [*BYTES, web.HTTPForbidden(text="")])
def test_one_without_words_says_what_its_status_says(refusal: web.HTTPException) -> None:
    """Bytes that are no text are nothing to read."""
    assert translate_refusal(refusal).public == "Forbidden."
