"""Errors as the caller reads them."""

import json

import pytest

from gateway.core.errors import InternalError, InvalidRequestError
from gateway.core.upstream_errors import ProviderFault, UpstreamCutError
from gateway.wire.provider_errors import upstream_error_of
from gateway.wire.render_errors import (
    missing_key_sentence,
    render_openai,
    render_openai_event,
    render_text,
)

REFUSED_KEY = ProviderFault(
    "Incorrect API key provided: …1234.", type="invalid_request_error", code="invalid_api_key"
)


def test_an_error_of_ours_in_the_openai_dialect():
    """These five are what OpenAI's clients look for."""
    error = InvalidRequestError("`n` must be 1.", param="n", detail="not for the caller")

    assert render_openai(error, "r1") == (
        b'{"error":{"message":"`n` must be 1.","type":"invalid_request_error","param":"n",'
        b'"code":"invalid_request"},"request_id":"r1"}'
    )


def test_a_providers_own_words_are_kept():
    """Clients retry with `failed_generation` and branch on `code`."""
    fault = ProviderFault(
        "No.",
        type="invalid_request_error",
        code="tool_use_failed",
        param="tools",
        extra={"failed_generation": "{\n}", "message": "not this one"},
    )

    rendered = render_openai(upstream_error_of(400, fault, label="Groq"), "r1")

    assert rendered == (
        b'{"error":{"message":"No.","type":"invalid_request_error","param":"tools",'
        b'"code":"tool_use_failed","failed_generation":"{\\n}"},"request_id":"r1"}'
    )


def test_what_the_provider_left_out_is_ours():
    """A client that branches on `code` always has one."""
    rendered = json.loads(render_openai(upstream_error_of(429, ProviderFault("m"), label="X"), "r"))

    assert rendered["error"] == {
        "message": "m",
        "type": "rate_limit_error",
        "param": None,
        "code": "upstream_rate_limited",
    }


def test_a_rejected_credential_says_whose_it_is():
    """Else a caller reads "incorrect API key" and goes looking at their own."""
    rendered = json.loads(render_openai(upstream_error_of(401, REFUSED_KEY, label="OpenAI"), "r"))

    assert rendered["error"]["code"] == "upstream_credential_rejected"
    assert rendered["error"]["message"] == (
        "OpenAI does not accept the gateway's credential: Incorrect API key provided: …1234."
    )
    error = upstream_error_of(401, REFUSED_KEY, label="OpenAI")
    own = json.loads(render_openai(error, "r", is_own=True))
    assert own["error"]["message"].startswith("OpenAI does not accept the key in your profile: ")


def test_an_event_is_one_line_of_the_same():
    """It ends a stream that has begun; there is no `[DONE]` after it."""
    error = UpstreamCutError("Groq closed the connection\nin the middle of the answer.")

    event = render_openai_event(error, "r1")

    assert event == b"data: " + render_openai(error, "r1") + b"\n\n"
    assert event.count(b"\n") == 2


def test_an_error_of_ours_for_the_chat_front_end():
    """It shows `message` and nothing else; programs read `error`."""
    assert render_text(InternalError("Something went wrong."), "r1") == (
        b'{"message":"Something went wrong.","error":{"code":"internal_error",'
        b'"type":"internal_error","request_id":"r1"}}'
    )


def test_a_providers_error_has_its_status_in_the_message():
    """The original's wording, which users know."""
    error = upstream_error_of(400, ProviderFault("Too long.", code="x"), label="Groq")

    assert json.loads(render_text(error, "r1"))["message"] == "400 Too long."


@pytest.mark.parametrize(
    ("status", "fault", "rule", "message"),
    [
        (
            401,
            ProviderFault("No."),
            "status",
            "Groq API Key is incorrect. Please fix it in your profile settings.",
        ),
        (401, ProviderFault("No."), "text", "401 No."),
        (
            401,
            REFUSED_KEY,
            "text",
            "Groq API Key is incorrect. Please fix it in your profile settings.",
        ),
        (401, REFUSED_KEY, "never", "401 Incorrect API key provided: …1234."),
        (
            400,
            ProviderFault("API key not valid."),
            "text",
            "Groq API Key is incorrect. Please fix it in your profile settings.",
        ),
        (403, ProviderFault("No."), "status", "403 No."),
    ],
)
def test_the_sentence_about_an_incorrect_key_follows_the_registry(status, fault, rule, message):
    """The original had three behaviours; each can be had."""
    error = upstream_error_of(status, fault, label="Groq")

    rendered = render_text(error, "r1", incorrect_key=rule)

    assert json.loads(rendered)["message"] == message


def test_the_sentences_use_the_name_given():
    """The front end says "Google Gemini" where the registry may say another name."""
    error = upstream_error_of(401, REFUSED_KEY, label="x")

    assert b"Google Gemini API Key is incorrect." in render_text(
        error, "r1", provider_label="Google Gemini"
    )
    assert missing_key_sentence("Groq") == (
        "Groq API Key not found. Please set it in your profile settings."
    )


def test_a_surrogate_does_not_break_an_error():
    """An error about an error is a 500."""
    assert (
        json.loads(render_openai(InternalError("\ud800 ü"), "r"))["error"]["message"] == "\ud800 ü"
    )
