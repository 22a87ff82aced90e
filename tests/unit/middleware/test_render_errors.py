"""Every failure is one JSON answer in the caller's dialect."""

import pytest
from aiohttp import web

from gateway.app import CHAIN
from gateway.core.errors import (
    BodyTooLargeError,
    GatewayError,
    InvalidRequestError,
    OverloadedError,
)
from gateway.core.upstream_errors import (
    ProviderFault,
    UpstreamConnectError,
    UpstreamCredentialError,
    UpstreamRateLimitError,
)
from gateway.middleware.render_errors import translate
from tests.plugins.chain import LogLines, Reply, StartChain

CHAT = b'{"chatSettings":{"model":"m"},"messages":[{"role":"user","content":"Hi"}]}'
SECRET = "password=hunter2"


async def ask(start_chain: StartChain, error: Exception, path: str = "/api/keys") -> Reply:
    """The answer when a handler raises."""

    async def fail(_: web.Request) -> web.StreamResponse:
        raise error

    chain = await start_chain(fail)
    return await chain.ask(path=path)


async def test_openai_clients_get_what_their_sdk_reads(start_chain: StartChain) -> None:
    """The SDKs look for error.message, type, param and code."""
    error = InvalidRequestError("Wrong.", param="n")

    reply = await ask(start_chain, error, "/v1/models")

    assert reply.status == 400
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.json() == {
        "error": {
            "message": "Wrong.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_request",
        },
        "request_id": reply.headers["x-request-id"],
    }


async def test_the_chat_front_end_gets_what_it_shows(start_chain: StartChain) -> None:
    """It shows `message`, and nothing at all when the body is not JSON."""
    reply = await ask(start_chain, InvalidRequestError("Wrong."))

    assert reply.json()["message"] == "Wrong."
    assert reply.json()["error"]["request_id"] == reply.headers["x-request-id"]


async def test_a_crash_says_nothing_of_the_inside(
    start_chain: StartChain, log_lines: LogLines
) -> None:
    """Exception texts quote whatever was at hand."""
    reply = await ask(start_chain, ValueError(SECRET))

    assert (reply.status, reply.json()["error"]["code"]) == (500, "internal_error")
    assert SECRET.encode() not in reply.raw
    assert "ValueError" in log_lines.find("request.crashed")[0]["exception"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UpstreamConnectError("no"), "false"),
        (OverloadedError("no"), "false"),
        (ValueError("a bug"), "false"),
        (InvalidRequestError("no"), None),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_sdks_are_told_not_to_multiply_our_attempts(
    start_chain: StartChain, error: Exception, expected: str | None
) -> None:
    """Three tries of theirs on three of ours are nine."""
    reply = await ask(start_chain, error, "/v1/models")

    assert reply.headers.get("x-should-retry") == expected


async def test_the_headers_of_an_error_are_sent(start_chain: StartChain) -> None:
    """A longer retry-after of the provider's is passed on, not slept."""
    fault = ProviderFault("slow down")
    error = UpstreamRateLimitError("Groq", 429, fault, headers={"retry-after": "42"})

    reply = await ask(start_chain, error)

    assert (reply.status, reply.headers["retry-after"]) == (429, "42")
    assert reply.json()["message"] == "429 slow down"


async def test_a_rejected_credential_gets_the_sentence_of_its_provider(
    start_chain: StartChain,
) -> None:
    """The front end's users know that sentence."""

    async def fail(_: web.Request) -> web.StreamResponse:
        raise UpstreamCredentialError("Groq", 401, ProviderFault("bad key"))

    chain = await start_chain(fail)

    reply = await chain.ask("POST", "/api/chat/groq", body=CHAT)

    assert reply.json()["message"] == (
        "Groq API Key is incorrect. Please fix it in your profile settings."
    )


async def test_an_unknown_path_is_404_as_json(start_chain: StartChain) -> None:
    """What aiohttp has is plain text, of which the front end shows nothing."""
    chain = await start_chain()

    for path in ("/", "/api/chat/groq/", "//api/keys", "/api/keys;x=1", "/metrics", "/healthz"):
        reply = await chain.ask(path=path)

        assert (reply.status, reply.json()["error"]["code"]) == (404, "not_found")


async def test_a_wrong_method_is_told_the_right_one(start_chain: StartChain) -> None:
    """RFC 9110 wants `Allow`; the original front end's server left it out."""
    chain = await start_chain()

    reply = await chain.ask(path="/api/chat/groq")

    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert reply.json()["message"] == "This path accepts POST."


async def test_no_handler_may_return_nothing(start_chain: StartChain) -> None:
    """A forgotten `return` is a bug of ours or an operator's, and says so."""

    async def forget(_: web.Request) -> web.StreamResponse:
        return None  # type: ignore[return-value]

    chain = await start_chain(forget)

    assert (await chain.ask()).json()["error"]["code"] == "internal_error"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (web.HTTPForbidden(text="Only in office hours."), 403, "Only in office hours."),
        (web.HTTPServiceUnavailable(), 503, "503: Service Unavailable"),
    ],
)
async def test_what_an_operators_middleware_raises_keeps_status_and_sentence(
    start_chain: StartChain, error: web.HTTPException, status: int, message: str
) -> None:
    """It is an ordinary aiohttp middleware, and may refuse as those do."""
    reply = await ask(start_chain, error)

    assert (reply.status, reply.json()["message"]) == (status, message)


async def test_a_redirect_of_an_operators_middleware_passes(start_chain: StartChain) -> None:
    """It is no error."""
    reply = await ask(start_chain, web.HTTPFound("/elsewhere"))

    assert (reply.status, reply.headers["location"]) == (302, "/elsewhere")


async def test_a_refused_body_ends_its_connection(start_chain: StartChain) -> None:
    """What follows on that connection is the rest of the body, not a request."""

    async def fail(_: web.Request) -> web.StreamResponse:
        raise BodyTooLargeError("too large")

    chain = await start_chain(fail)

    reply = await chain.ask(headers=[("Connection", "keep-alive")])

    assert reply.headers["connection"] == "close"


@pytest.mark.parametrize("status", [404, 405, 413, 417, 500])
def test_every_status_of_aiohttp_becomes_an_error_of_ours(status: int) -> None:
    """The codes are a closed list, and the statuses are kept."""
    kinds = {
        404: web.HTTPNotFound(),
        405: web.HTTPMethodNotAllowed("GET", ["POST"]),
        413: web.HTTPRequestEntityTooLarge(1, 2),
        417: web.HTTPExpectationFailed(),
        500: web.HTTPInternalServerError(),
    }

    translated = translate(kinds[status])

    assert isinstance(translated, GatewayError)
    assert translated.status == status


def test_everything_past_it_may_raise_freely() -> None:
    """Its place in the chain is what it promises."""
    assert [one.__name__ for one in CHAIN[:4]][-1] == "render_errors"
