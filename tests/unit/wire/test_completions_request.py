"""Requests in the OpenAI dialect."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequestError
from gateway.wire.completions_request import read_completions, render_completions
from tests.unit.wire.rules import Rules

MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'
NO_RULES = Rules()


def body_with(fields: bytes) -> bytes:
    """Return a good body with more fields."""
    return b'{"model":"groq/llama",' + MESSAGES + b"," + fields + b"}"


def rendered(body: bytes, rules: Rules = NO_RULES, *, ask_usage: bool = False) -> bytes:
    """Return what goes upstream for `body`."""
    return render_completions(read_completions(body), model="m", rules=rules, ask_usage=ask_usage)


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("groq/llama-3.3-70b", "groq", "llama-3.3-70b"),
        ("openrouter/meta/llama-3:free", "openrouter", "meta/llama-3:free"),
        ("groq", "groq", ""),
    ],
)
def test_the_provider_ends_at_the_first_slash(name, provider, model):
    """OpenRouter's model names hold slashes of their own."""
    body = json.dumps({"model": name, "messages": [{"role": "user"}]}).encode()

    request = read_completions(body)

    assert (request.provider, request.model) == (provider, model)


def test_what_the_gateway_acts_on_is_read():
    """These decide the framing, the accounting and the limits."""
    body = body_with(b'"stream":true,"stream_options":{"include_usage":true},"n":2')

    request = read_completions(body)

    assert (request.stream, request.wants_usage) == (True, True)


@pytest.mark.parametrize("fields", [b'"x":1', b'"stream":null,"stream_options":null,"n":null'])
def test_null_is_as_good_as_absent(fields):
    """SDKs write null for what was not given."""
    request = read_completions(body_with(fields))

    assert (request.stream, request.wants_usage) == (False, False)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (b'"stream":"true"', "stream"),
        (b'"stream":1', "stream"),
        (b'"stream_options":[]', "stream_options"),
        (b'"stream_options":{"include_usage":1}', "stream_options.include_usage"),
        (b'"n":0', "n"),
        (b'"n":129', "n"),
        (b'"n":true', "n"),
        (b'"n":1.0', "n"),
        (b'"n":"1"', "n"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(fields, param):
    """A guess at what was meant would be wrong for somebody."""
    with pytest.raises(InvalidRequestError) as caught:
        read_completions(body_with(fields))

    assert caught.value.param == param
    assert f"`{param}`" in caught.value.public


@pytest.mark.parametrize("model", ["", "/x", "groq/", "a\x00/b", None, 5, "x" * 300])
def test_a_model_without_provider_or_name_is_refused(model):
    """It says where the request goes; nothing else does."""
    body = json.dumps({"model": model, "messages": [{"role": "user"}]}).encode()

    with pytest.raises(InvalidRequestError) as caught:
        read_completions(body)

    assert caught.value.param == "model"


def test_messages_are_required():
    """Every provider would refuse the request, each in its own words."""
    with pytest.raises(InvalidRequestError) as caught:
        read_completions(b'{"model":"groq/x"}')

    assert caught.value.param == "messages"


def test_only_the_model_is_replaced_and_in_its_place():
    """Unknown fields, order, number text, escapes and inner spacing are the caller's."""
    body = (
        b'{"seed":7228414683750928001,"temperature":1.0,"model":"groq/a","x":[ 1e2 ],'
        b'"messages":[ {"role":"user","content":"\\u003c\\/"} ],"api_base":"http://evil"}'
    )

    assert rendered(body) == body.replace(b"groq/a", b"m")


@given(
    extra=st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(codec="utf-8"), max_size=8),
        max_size=6,
    )
)
def test_any_other_fields_go_through_in_order(extra):
    """Providers add parameters every month; the gateway is not in their way."""
    value = {**extra, "model": "groq/a", "messages": [{"role": "user"}]}
    value |= {"stream": False, "n": 1, "stream_options": None}

    sent = json.loads(rendered(json.dumps(value).encode()))

    assert list(sent.items()) == list({**value, "model": "m"}.items())


def test_usage_is_asked_for_only_in_streams_and_where_the_provider_can():
    """A field more than asked for is a 422 at some providers."""
    streamed, plain = body_with(b'"stream":true'), body_with(b'"stream":false')

    assert rendered(streamed, ask_usage=True).endswith(
        b'"stream":true,"stream_options":{"include_usage":true}}'
    )
    assert b"stream_options" not in rendered(streamed, ask_usage=False)
    assert b"stream_options" not in rendered(plain, ask_usage=True)


def test_a_provider_that_cannot_take_stream_options_never_gets_them():
    """Mistral answers 422, whoever wrote the field."""
    rules = Rules(drop=("stream_options",))
    body = body_with(b'"stream":true,"stream_options":{"include_usage":true}')

    assert b"stream_options" not in rendered(body, rules, ask_usage=True)


def test_the_rules_of_the_registry_are_applied():
    """One request, three providers, three bodies."""
    rules = Rules(
        rename={"max_tokens": "max_completion_tokens"}, cap={"max_completion_tokens": 100}
    )

    assert rendered(body_with(b'"max_tokens":500,"z":1'), rules) == (
        b'{"model":"m",' + MESSAGES + b',"max_completion_tokens":100,"z":1}'
    )


def test_a_request_can_be_rendered_again_for_another_attempt():
    """Failover must not inherit what the first provider's rules did."""
    request = read_completions(body_with(b'"stream":true,"seed":1'))

    render_completions(request, model="a", rules=Rules(drop=("seed",)), ask_usage=True)

    assert render_completions(request, model="b", rules=NO_RULES, ask_usage=False) == (
        b'{"model":"b",' + MESSAGES + b',"stream":true,"seed":1}'
    )


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        (b'"x":1', b'"x":1,"max_tokens":50'),
        (b'"max_tokens":null,"x":1', b'"max_tokens":50,"x":1'),
        (b'"max_completion_tokens":null,"x":1', b'"x":1,"max_tokens":50'),
        (b'"max_tokens":7', b'"max_tokens":7'),
        (b'"max_completion_tokens":7', b'"max_completion_tokens":7'),
        (b'"max_tokens":0,"x":1', b'"max_tokens":50,"x":1'),
        (b'"max_completion_tokens":-0,"x":1', b'"x":1,"max_tokens":50'),
        (b'"max_tokens":0,"max_completion_tokens":7', b'"max_completion_tokens":7'),
    ],
)
def test_a_length_is_asked_for_where_the_caller_asks_for_none(fields: bytes, sent: bytes):
    """A rule that caps answers must not depend on the caller's good will; 0 is no limit to some."""
    request = read_completions(body_with(fields))

    body = render_completions(request, model="m", rules=NO_RULES, ask_usage=False, output_cap=50)

    assert body == b'{"model":"m",' + MESSAGES + b"," + sent + b"}"
