"""Whether a whole answer is an answer."""

import json

import pytest

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamBadResponseError,
    UpstreamCredentialError,
    UpstreamRateLimitError,
    UpstreamRedirectError,
    UpstreamRejectedError,
    UpstreamServerError,
)
from gateway.core.usage import Usage
from gateway.relay.verdict import Whole, is_event_stream, judge_reply, read_usage, select_headers

REPLY = {
    "id": "c",
    "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4},
}
DEEP = b'{"choices": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def whole(value: object, status: int = 200, *headers: tuple[bytes, bytes]) -> Whole:
    """An answer with this body."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Whole(status, headers, body)


def judge(value: object, status: int = 200, *headers: tuple[bytes, bytes]) -> UpstreamError | None:
    """The verdict on an answer."""
    return judge_reply(whole(value, status, *headers), label="Groq", secrets=["gsk-secret"])


@pytest.mark.parametrize(
    "value",
    [
        REPLY,
        b"\n\n\n" + json.dumps(REPLY).encode(),
        {"choices": []},
        {"object": "chat.completion", "error": None, "choices": [{"finish_reason": "length"}]},
        {**REPLY, "error": ""},
        b'{"choices": [{"finish_reason": "stop", "logprobs": NaN}]}',
        {"unknown": "shape"},
    ],
)
def test_a_json_object_without_an_error_is_passed_on(value: object) -> None:
    """What it holds is between the provider and the caller."""
    assert judge(value) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"   ",
        b"<html>oops</html>",
        b"Hello",
        b"[]",
        b"[1]",
        b"null",
        b'"text"',
        b'{"choices": [',
        b"data: {}\n\n",
        b"\xff\xfe",
        b'{"choices": [{"finish_reason": "\xff"}]}',
        DEEP,
    ],
)
@pytest.mark.parametrize("status", [200, 201, 204])
def test_anything_else_is_no_answer(value: bytes, status: int) -> None:
    """A page of a proxy with a 200 must not look like a reply (fault F10)."""
    error = judge(value, status, (b"content-type", b"text/html"))

    assert type(error) is UpstreamBadResponseError
    assert error.status == 502
    assert "oops" not in f"{error.public} {error.detail}"


@pytest.mark.parametrize(
    ("value", "kind", "status"),
    [
        ({"error": {"message": "Too long.", "code": 400}}, UpstreamRejectedError, 400),
        ({"error": {"message": "m", "code": "server_error"}}, UpstreamServerError, 500),
        ({"error": "m"}, UpstreamServerError, 502),
        ({"object": "error", "message": "m", "code": 429}, UpstreamRateLimitError, 429),
        ({"choices": [], "error": {"message": "m", "code": 429}}, UpstreamRateLimitError, 429),
        ({"choices": [], "object": "error", "message": "m"}, UpstreamServerError, 502),
        ({"choices": [{"finish_reason": "error"}]}, UpstreamServerError, 502),
        ({"choices": [{"error": {"code": 503, "message": "m"}}]}, UpstreamServerError, 503),
        ([{"error": {"code": 404, "message": "m"}}], UpstreamRejectedError, 404),
        ({"message": "Too many tokens.", "status": 429}, UpstreamRateLimitError, 429),  # Bedrock's
        ({"detail": [{"msg": "m"}]}, UpstreamServerError, 502),  # Mistral's
    ],
)
def test_an_error_inside_a_success_is_an_error(
    value: object, kind: type[UpstreamError], status: int
) -> None:
    """OpenRouter answers 200 when the model had begun (wire 1.2)."""
    error = judge(value)

    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    """Following it would hand the credential and the prompt to somebody else (fault F16)."""
    error = judge(b"", status, (b"location", b"http://evil.example/"))

    assert type(error) is UpstreamRedirectError
    assert error.status == 502
    assert "evil" not in f"{error.public} {error.detail}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UpstreamRejectedError),
        (401, UpstreamCredentialError),
        (404, UpstreamRejectedError),
        (413, UpstreamRejectedError),
        (422, UpstreamRejectedError),
        (429, UpstreamRateLimitError),
        (500, UpstreamServerError),
        (503, UpstreamServerError),
        (529, UpstreamServerError),
    ],
)
def test_a_providers_error_keeps_its_status(status: int, kind: type[UpstreamError]) -> None:
    """The caller's SDK decides by it."""
    error = judge({"error": {"message": "Because."}}, status)

    assert type(error) is kind
    assert (error.status, error.public) == (status, "Because.")
    assert error.detail == f"status {status}"


@pytest.mark.parametrize(("status", "passed_on"), [(500, 502), (503, 502), (404, 404), (429, 429)])
def test_a_5xx_that_is_no_json_is_a_bad_gateway(status: int, passed_on: int) -> None:
    """It was not the provider that answered, but something on the way."""
    for body in (b"<html>nginx</html>", DEEP):
        error = judge(body, status)

        assert error is not None, body[:10]
        assert error.status == passed_on, body[:10]
        assert "<html>" not in error.public


@pytest.mark.parametrize("event", [b"data: ", b"event: error\ndata: ", b": busy\n\ndata: "])
def test_a_5xx_that_came_as_an_event_keeps_its_status(event: bytes) -> None:
    """Who asks for a stream gets one from some, when it fails as well."""
    error = judge(event + b'{"error": {"message": "Because."}}\n\n', 529)

    assert error is not None
    assert (error.status, error.public) == (529, "Because.")


def test_a_limit_says_when_to_come_back() -> None:
    """`retry-after` decides whether we wait or the caller does."""
    error = judge({"error": {"message": "m"}}, 429, (b"retry-after", b"7"), (b"set-cookie", b"a=b"))

    assert error is not None
    assert dict(error.headers) == {"retry-after": "7"}


def test_a_credential_in_an_error_is_not_passed_on() -> None:
    """Providers quote the key they refuse."""
    error = judge({"error": {"message": "Incorrect API key provided: gsk-secret"}}, 401)

    assert error is not None
    assert "gsk-secret" not in f"{error.public} {error.detail}"


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (REPLY, Usage(3, 4, "provider")),
        ({"choices": []}, None),
        ({"choices": [], "usage": None}, None),
        ({"choices": [], "usage": {"prompt_tokens": -1}}, None),
        (
            b'{"x": NaN, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}',
            Usage(3, 4, "provider"),
        ),
        (b'\n\n{"usage": {"prompt_tokens": 3}}', Usage(3, None, "provider")),
    ],
)
def test_usage_is_read_from_what_was_passed_on(value: object, usage: Usage | None) -> None:
    """Also from JSON that only a lenient reader takes."""
    assert read_usage(whole(value)) == usage


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text/event-stream", True),
        (b"text/event-stream; charset=utf-8", True),
        (b"text/event-stream;charset=utf-8", True),
        (b"Text/Event-Stream ", True),
        (b"application/json", False),
        (b"text/event-streams", False),
        (b"", False),
    ],
)
def test_a_stream_is_known_by_its_type(value: bytes, *, expected: bool) -> None:
    """Everything else is held whole."""
    assert is_event_stream([(b"content-type", value)]) is expected


def test_only_headers_of_the_list_come_back() -> None:
    """A cookie or a server's name of the provider is none of the caller's business."""
    headers = [(b"set-cookie", b"a"), (b"x-request-id", b"r-1"), (b"retry-after", b"\xff")]

    assert select_headers(headers) == [("x-upstream-request-id", "r-1")]
    assert select_headers(headers, ["canary-credential"]) == [("x-upstream-request-id", "r-1")]


def test_a_header_for_the_provider_s_connection_stays_there() -> None:
    """What `Connection` names is for one hop (RFC 9110, 7.6.1)."""
    headers = [
        (b"x-ratelimit-limit-requests", b"5"),
        (b"x-ratelimit-of-this-hop", b"5"),
        (b"connection", b"keep-alive, X-RateLimit-Of-This-Hop"),
    ]

    assert select_headers(headers) == [("x-ratelimit-limit-requests", "5")]


@pytest.mark.parametrize("value", [b"7 ", b"7\t", b" 7", b"7"])
def test_blanks_around_a_value_are_none_of_it(value: bytes) -> None:
    """Llhttp keeps those behind it, and then the wait that a provider asks for would be unread."""
    assert select_headers([(b"retry-after", value)]) == [("retry-after", "7")]


def test_a_header_that_quotes_the_credential_does_not_come_back() -> None:
    """An id that holds it would be in the log, the ledger and the caller's hands."""
    headers = ((b"x-request-id", b"for canary-credential"), (b"x-ratelimit-limit-requests", b"5"))

    assert select_headers(headers, ["canary-credential"]) == [("x-ratelimit-limit-requests", "5")]


def test_every_name_of_the_list_comes_back() -> None:
    """Names are sorted out by their first letter before the list is asked."""
    names = [
        "ratelimit-remaining",
        "x-ratelimit-limit-requests",
        "openai-processing-ms",
        "anthropic-ratelimit-tokens-limit",
        "retry-after",
    ]
    ids = ["x-request-id", "request-id", "mistral-correlation-id", "inference-id"]

    assert select_headers([(name.encode(), b"5") for name in names]) == [(n, "5") for n in names]
    for name in ids:
        assert select_headers([(name.encode(), b"r-1")]) == [("x-upstream-request-id", "r-1")], name
