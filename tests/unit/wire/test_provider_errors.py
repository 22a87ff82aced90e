"""Errors of providers, in every shape they come in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.upstream_errors import (
    ProviderFault,
    UpstreamCredentialError,
    UpstreamRateLimitError,
    UpstreamRejectedError,
    UpstreamServerError,
)
from gateway.wire.provider_errors import fault_of, read_fault, upstream_error_of

SHAPES = {
    "openai": (
        b'{"error":{"message":"No.","type":"invalid_request_error","param":"seed","code":"bad"}}',
        ProviderFault("No.", type="invalid_request_error", param="seed", code="bad", status=400),
    ),
    "openai, nulls": (
        b'{"error":{"message":"No.","type":"server_error","param":null,"code":null}}',
        ProviderFault("No.", type="server_error", status=500),
    ),
    "groq": (
        (
            b'{"error":{"message":"No.","type":"invalid_request_error","code":"tool_use_failed",'
            b'"failed_generation":"{\\n}","status_code":400}}'
        ),
        ProviderFault(
            "No.",
            type="invalid_request_error",
            code="tool_use_failed",
            status=400,
            extra={"failed_generation": "{\n}"},
        ),
    ),
    "openrouter": (
        b'{"error":{"code":429,"message":"No.","metadata":{"raw":"x"}},"user_id":"user_2w"}',
        ProviderFault("No.", code="429", status=429, extra={"metadata": {"raw": "x"}}),
    ),
    "openrouter, typed": (
        b'{"error":{"code":"odd","message":"No.","metadata":{"error_type":"provider_overloaded"}}}',
        ProviderFault(
            "No.",
            code="odd",
            status=529,
            extra={"metadata": {"error_type": "provider_overloaded"}},
        ),
    ),
    "mistral": (
        b'{"object":"error","message":"No.","type":"invalid_model","param":null,"code":"1500"}',
        ProviderFault("No.", type="invalid_model", code="1500"),
    ),
    "mistral, object": (
        (
            b'{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"],'
            b'"msg":"Not permitted","input":"the prompt"}]},"type":"invalid_request_error"}'
        ),
        ProviderFault(
            "body.seed: Not permitted",
            type="invalid_request_error",
            param="body.seed",
            status=400,
        ),
    ),
    "mistral, list": (
        (
            b'{"object":"Error","detail":["c"],"message":["a","b"],"type":"invalid_request_error",'
            b'"code":3001}'
        ),
        ProviderFault("a; b", type="invalid_request_error", code="3001", status=400),
    ),
    "text": (b'{"error":"model not loaded"}', ProviderFault("model not loaded")),
    "xai": (
        b'{"code":"Client specified an invalid argument","error":"No."}',
        ProviderFault("No.", code="Client specified an invalid argument"),
    ),
    "gemini": (
        b'[{"error":{"code":404,"message":"No.","status":"NOT_FOUND"}}]',
        ProviderFault(
            "No.", type="NOT_FOUND", code="404", status=404, extra={"status": "NOT_FOUND"}
        ),
    ),
    "anthropic": (
        b'{"type":"error","error":{"type":"overloaded_error","message":"No."},"request_id":"r"}',
        ProviderFault("No.", type="overloaded_error", status=529),
    ),
    "azure": (
        (
            b'{"error":{"message":"No.","type":null,"param":"prompt","code":"content_filter",'
            b'"status":400}}'
        ),
        ProviderFault(
            "No.", param="prompt", code="content_filter", status=400, extra={"status": 400}
        ),
    ),
    "an event": (
        (
            b'event: error\ndata: {"error":{"message":"No.","type":"server_error"}}\n\n'
            b"data: [DONE]\n\n"
        ),
        ProviderFault("No.", type="server_error", status=500),
    ),
    "an event after comments": (
        b': wait\n\nid:1\r\nevent:error\r\n:HTTP_STATUS/400\r\ndata:{"code":"bad","message":"No."}',
        ProviderFault("No.", code="bad"),
    ),
    "bedrock": (b'{"message":"No."}', ProviderFault("No.")),
    "cohere": (b'{"id":"1","message":"No."}', ProviderFault("No.")),
    "vllm": (
        b'{"error":{"message":"No.","type":"BadRequestError","param":null,"code":400}}',
        ProviderFault("No.", type="BadRequestError", code="400", status=400),
    ),
    "fastapi": (
        b'{"detail":[{"loc":["body","model"],"msg":"Field required","input":{"p":"the prompt"}}]}',
        ProviderFault("body.model: Field required", param="body.model"),
    ),
    "by hand": (
        b'{"error":{"message":"No.\nWait a bit.","type":"busy"}}',
        ProviderFault("No. Wait a bit.", type="busy"),
    ),
    "by hand, in an event": (
        b'data: {"error":{"message":"No.\tWait a bit.","type":"busy"}}\n\n',
        ProviderFault("No. Wait a bit.", type="busy"),
    ),
    "cloudflare": (
        b'{"success":false,"errors":[{"code":10000,"message":"No."}],"messages":[],"result":null}',
        ProviderFault("No."),
    ),
    "aws, before bedrock": (b'{"Message":"No."}', ProviderFault("No.")),
    "fastapi, text": (b'{"detail":"Not Found"}', ProviderFault("Not Found")),
    "llama.cpp": (
        (
            b'{"error":{"code":400,"message":"No.","type":"exceed_context_size_error",'
            b'"n_prompt_tokens":9,"n_ctx":4}}'
        ),
        ProviderFault(
            "No.",
            type="exceed_context_size_error",
            code="400",
            status=400,
            extra={"n_prompt_tokens": 9, "n_ctx": 4},
        ),
    ),
}


@pytest.mark.parametrize(("body", "expected"), SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_is_read(body, expected):
    """The caller gets one shape, and nothing of the operator's account or of the prompt."""
    assert read_fault(body, label="Groq") == expected
    assert read_fault(b"\r\n\n" + body, label="Groq") == expected


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "Groq answered with an error and an empty body."),
        (b" \n", "Groq answered with an error and an empty body."),
        (b"<!DOCTYPE html><h1>Attention</h1>", "Groq answered with a page that is not JSON."),
        (b"\x1f\x8b\x08\xff\xfe", "Groq answered with bytes that are not text."),
        (b"Too many requests\n", "Groq answered: Too many requests"),
        (b"upstream <b>error</b>", "Groq answered with a page that is not JSON."),
        (b'{"error": {"mess', "Groq answered with text that is not JSON."),
        (b"x" * 5000, "Groq answered with text that is not JSON."),
        (b"[" * 100_000, "Groq answered with text that is not JSON."),
        (b"null", "Groq answered with an error and no message."),
        (b"{}", "Groq answered with an error and no message."),
        (b"[]", "Groq answered with an error and no message."),
        (b'{"error":{}}', "Groq answered with an error and no message."),
        (b'{"error":{"message":"<html>x"}}', "Groq answered with a page that is not JSON."),
        (b'"plain"', "Groq answered: plain"),
    ],
)
def test_what_is_not_an_error_of_any_shape_is_described(body, sentence):
    """A page of HTML in a chat bubble helps nobody."""
    assert read_fault(body, label="Groq").message == sentence


@given(
    body=st.binary(max_size=80)
    | st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(st.characters(), max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "message", "code", "type", "detail", "metadata", "status"]
                )
                | st.text(max_size=3),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_read_without_raising(body):
    """Whatever a provider sends, the caller gets a sentence that can be sent."""
    fault = read_fault(body, label="Groq")

    assert fault.message
    json.dumps([fault.message, fault.type, fault.code, fault.param]).encode()
    json.dumps(fault.extra, allow_nan=False, ensure_ascii=False).encode()
    assert fault.status is None or 400 <= fault.status <= 599


def test_a_credential_never_comes_back():
    """Providers echo the key they refuse, and an own key may look like anything."""
    body = json.dumps(
        {
            "error": {
                "message": "Incorrect API key provided: sk-proj-0123456789abcdef. own-canary-1234",
                "code": "own-canary-1234",
                "metadata": {"raw": "Bearer 0123456789abcdef own-canary-1234"},
            }
        }
    ).encode()

    told = str(read_fault(body, label="OpenAI", secrets=["own-canary-1234"]))

    assert "0123456789ab" not in told
    assert "canary" not in told


def test_a_message_is_cut_and_on_one_line():
    """It goes into logs and into a toast."""
    body = json.dumps({"error": {"message": "a\nb\x00c\u2028" + "x" * 9000}}).encode()

    message = read_fault(body, label="Groq").message

    assert message.startswith("a b c x")
    assert len(message) == 2000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"error": {"message": "No.", "code": 502}, "choices": [{"finish_reason": None}]}, "No."),
        ({"error": "text"}, "text"),
        ({"error": {"code": 502}}, "Groq answered with an error and no message."),
        ([{"error": {"message": "No."}}], "No."),
        ({"object": "error", "message": "No."}, "No."),
        ({"choices": [], "x_groq": {"id": "r", "error": "over capacity"}}, "over capacity"),
        (
            {"choices": [{"finish_reason": "stop"}, {"finish_reason": "error"}]},
            "Groq answered with an error and no message.",
        ),
        ({"choices": [{"finish_reason": None, "error": {"message": "No."}}]}, "No."),
        ({"message": "No."}, "No."),  # Bedrock
        ({"id": "1", "message": "No."}, "No."),  # Cohere
        ({"detail": [{"loc": ["body", "n"], "msg": "No."}]}, "body.n: No."),  # Mistral
    ],
)
def test_an_error_inside_a_stream_is_seen(value, message):
    """A 200 that failed must not be passed on as a success."""
    fault = fault_of(value, label="Groq")

    assert fault is not None
    assert fault.message == message


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        "error",
        7,
        {"error": None, "choices": [{"delta": {"content": "error"}, "finish_reason": "stop"}]},
        {"error": {}, "x_groq": {"id": "r"}, "choices": None},
        {"choices": [None, 1, {"finish_reason": None}], "usage": None, "x_groq": "x"},
        {"choices": [], "message": "hello", "detail": "x"},
        {"message": {"role": "assistant"}, "detail": []},
        {"message": ""},
    ],
)
def test_an_ordinary_chunk_is_no_error(value):
    """A false alarm would cut a good answer."""
    assert fault_of(value, label="Groq") is None


@pytest.mark.parametrize(
    ("status", "fault", "expected", "is_retryable"),
    [
        (400, ProviderFault("m"), UpstreamRejectedError, False),
        (401, ProviderFault("m"), UpstreamCredentialError, False),
        (400, ProviderFault("API key not valid."), UpstreamCredentialError, False),
        (403, ProviderFault("m", code="invalid_api_key"), UpstreamCredentialError, False),
        (403, ProviderFault("m"), UpstreamRejectedError, False),
        (408, ProviderFault("m"), UpstreamRejectedError, True),
        (409, ProviderFault("m"), UpstreamRejectedError, True),
        (413, ProviderFault("m", code="rate_limit_exceeded"), UpstreamRejectedError, False),
        (422, ProviderFault("m"), UpstreamRejectedError, False),
        (429, ProviderFault("m"), UpstreamRateLimitError, True),
        (429, ProviderFault("m", code="insufficient_quota"), UpstreamRateLimitError, False),
        (498, ProviderFault("m"), UpstreamRejectedError, False),
        (500, ProviderFault("m"), UpstreamServerError, True),
        (529, ProviderFault("m"), UpstreamServerError, True),
    ],
)
def test_the_class_and_the_retry_follow_the_status(status, fault, expected, is_retryable):
    """One table decides who is told what, and what is tried again."""
    error = upstream_error_of(status, fault, label="Groq", headers={"retry-after": "3"})

    assert type(error) is expected
    assert (error.status, error.is_retryable) == (status, is_retryable)
    assert (error.label, error.fault, error.headers) == ("Groq", fault, {"retry-after": "3"})


@pytest.mark.parametrize(
    ("fault", "status"), [(ProviderFault("m", status=429), 429), (ProviderFault("m"), 502)]
)
def test_an_error_under_a_good_status_takes_the_faults_own(fault, status):
    """An error must not be answered with 200."""
    assert upstream_error_of(200, fault, label="Groq").status == status
