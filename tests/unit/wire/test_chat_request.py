"""Requests of the chat front end."""

import json

import pytest

from gateway.core.errors import InvalidRequestError
from gateway.wire.chat_request import read_chat, render_chat
from tests.unit.wire.rules import Rules

MESSAGES = b'[{"role":"system","content":"a\\u003c"}, {"role":"user","content":"b"}]'
NO_RULES = Rules()


def body_with(settings: bytes = b'{"model":"x","temperature":0.50}', rest: bytes = b"") -> bytes:
    """Return a body as bytes, so that its spelling is known."""
    return b'{"chatSettings":' + settings + b',"messages":' + MESSAGES + rest + b"}"


def body_of(**fields) -> bytes:
    """Return a good body with some fields replaced."""
    given = {"chatSettings": {"model": "x"}, "messages": [{"role": "user", "content": "b"}]}
    return json.dumps({**given, **fields}).encode()


def rendered(
    body: bytes,
    rules: Rules = NO_RULES,
    max_output: int | None = None,
    output_cap: int | None = None,
) -> bytes:
    """Return what goes upstream for `body`."""
    return render_chat(
        read_chat(body),
        model="m",
        rules=rules,
        max_output=max_output,
        output_cap=output_cap,
        ask_usage=False,
    )


def test_a_body_as_the_browser_sends_it_is_read():
    """The seven settings and the empty custom model are what every request holds."""
    settings = (
        b'{"model":"llama3-70b-8192","prompt":"p","temperature":0.5,"contextLength":4096,'
        b'"includeProfileContext":true,"includeWorkspaceInstructions":true,'
        b'"embeddingsProvider":"openai"}'
    )
    body = body_with(settings, b',"customModelId":""')

    request = read_chat(body)

    assert request.model == "llama3-70b-8192"
    assert request.messages == MESSAGES
    assert request.temperature == b"0.5"
    assert request.custom_model_id is None


def test_an_empty_model_means_the_providers_default():
    """A front end with no model chosen still gets an answer."""
    assert read_chat(body_of(chatSettings={"model": ""})).model == ""


def test_a_custom_model_is_kept():
    """It names a row of the front end's own table."""
    assert read_chat(body_of(customModelId="4e6f")).custom_model_id == "4e6f"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"chatSettings": None}, "chatSettings"),
        ({"chatSettings": []}, "chatSettings"),
        ({"chatSettings": {}}, "chatSettings.model"),
        ({"chatSettings": {"model": 1}}, "chatSettings.model"),
        ({"chatSettings": {"model": "x", "temperature": "1"}}, "chatSettings.temperature"),
        ({"chatSettings": {"model": "x", "temperature": True}}, "chatSettings.temperature"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [1]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}]},
            "messages[0].content[0].image_url",
        ),
        ({"customModelId": 5}, "customModelId"),
    ],
)
def test_a_field_of_the_wrong_shape_is_named(fields, param):
    """The original crashed with a TypeError's text; a sentence helps more."""
    with pytest.raises(InvalidRequestError) as caught:
        read_chat(body_of(**fields))

    assert caught.value.param == param
    assert f"`{param}`" in caught.value.public


def test_images_pass_with_their_bytes():
    """They ride in the JSON on every turn, megabytes of them."""
    parts = (
        b'[{"role":"user","content":[{"type":"text","text":"what?"},'
        b'{"type":"image_url","image_url":{"url":"data:image\\/png;base64,AAAA"}}]}]'
    )
    body = b'{"chatSettings":{"model":"x"},"messages":' + parts + b"}"

    assert read_chat(body).messages == parts


def test_messages_in_geminis_shape_are_converted_one_by_one():
    """The front end sends them for provider google; its compatible endpoint wants OpenAI's."""
    body = (
        b'{"chatSettings":{"model":"x"},"messages":['
        b'{"role":"user","parts":[{"text":"hi"}]},{"role":"user","content":"a\\u003c"}]}'
    )

    assert read_chat(body).messages == (
        b'[{"role":"user","content":"hi"},{"role":"user","content":"a\\u003c"}]'
    )


def test_only_the_contracts_fields_go_upstream():
    """A `base_url` or `api_key` in the body was a takeover elsewhere."""
    body = body_with(rest=b',"base_url":"http://evil","stream":false,"api_key":"k","n":9')

    assert rendered(body) == b'{"model":"m","messages":' + MESSAGES + b',"stream":true}'


def test_temperature_goes_where_the_provider_takes_it_in_its_own_digits():
    """Groq and Mistral got none from the original, OpenAI and OpenRouter did."""
    assert rendered(body_with(), Rules(send=("temperature",))) == (
        b'{"model":"m","messages":' + MESSAGES + b',"temperature":0.50,"stream":true}'
    )
    assert b"temperature" not in rendered(body_with(b'{"model":"x"}'), Rules(send=("temperature",)))
    assert b"temperature" not in rendered(
        body_with(b'{"model":"x","temperature":null}'), Rules(send=("temperature",))
    )


@pytest.mark.parametrize(
    ("send", "max_output", "expected"),
    [
        (("max_tokens",), 8192, b'"max_tokens":8192,"stream":true}'),
        (("max_tokens",), None, b'}],"stream":true}'),
        ((), 8192, b'}],"stream":true}'),
    ],
)
def test_the_output_cap_goes_only_where_it_is_asked_for_and_known(send, max_output, expected):
    """A cap as large as the window makes every call fail at some providers."""
    sent = rendered(body_with(), Rules(send=send), max_output)

    assert sent.endswith(expected)


@pytest.mark.parametrize("send", [(), ("max_tokens",)])
@pytest.mark.parametrize("max_output", [None, 8192])
def test_the_cap_of_a_rule_goes_in_any_case(send, max_output):
    """It is what an operator allows, and no habit of a provider."""
    sent = rendered(body_with(), Rules(send=send), max_output, output_cap=50)

    assert sent.endswith(b'"max_tokens":50,"stream":true}')


def test_the_rules_of_the_registry_are_applied():
    """`max_tokens` has another name at OpenAI."""
    rules = Rules(
        send=("max_tokens",), rename={"max_tokens": "max_completion_tokens"}, set={"store": False}
    )

    assert rendered(body_with(), rules, 10) == (
        b'{"model":"m","messages":'
        + MESSAGES
        + b',"max_completion_tokens":10,"stream":true,"store":false}'
    )


def test_usage_is_asked_for_where_the_provider_can():
    """The answer is text alone, but somebody has to count."""
    request = read_chat(body_with())

    sent = render_chat(request, model="m", rules=NO_RULES, max_output=None, ask_usage=True)

    assert sent.endswith(b'"stream":true,"stream_options":{"include_usage":true}}')
