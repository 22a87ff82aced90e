"""Requests of `POST /v1/chat/completions`: what we read of them, and what goes upstream.

The rule here: everything but the model and what the registry's rules name goes upstream with
its own bytes, in its own order.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.wire.checks import optional_bool, refuse, require_messages, require_model_text
from gateway.wire.params import NULL, ParamRules, apply_rules, ask_for_usage
from gateway.wire.strict_json import join_object, parse_object, split_object

MAX_CHOICES: Final = 128
OUTPUT_FIELDS: Final = ("max_tokens", "max_completion_tokens")  # that cap the answer
# Ollama takes 0 for no limit, and others refuse it.
_NO_LENGTH: Final = frozenset({NULL, b"0", b"-0"})

# By these a provider goes on to other models: OpenRouter for any error of the first, and LiteLLM.
_OTHER_MODELS: Final = frozenset(
    {
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "fallbacks",
        "models",
        "preset",
        "route",
    }
)

_encode = msgspec.json.Encoder().encode


class CompletionsRequest(msgspec.Struct, frozen=True):
    """One request in the OpenAI dialect, checked as far as the gateway acts on it."""

    provider: str
    model: str  # without the provider; empty: the provider's default
    stream: bool
    wants_usage: bool  # the caller asked for the usage chunk
    fields: Mapping[str, bytes]  # top-level fields as they came

    def find_other_models(self, rules: ParamRules) -> str | None:
        """The field by which another model may answer, where one is sent to the provider."""
        for name in sorted(_OTHER_MODELS.intersection(self.fields).difference(rules.drop)):
            if self.fields[name] != NULL:
                return name
        return None


def read_completions(body: bytes) -> CompletionsRequest:
    """The request in `body`, or a `DownstreamError` that names the field to mend."""
    value = parse_object(body)
    provider, model = _read_model(value.get("model"))
    require_messages(value.pop("messages", None))  # let go before the fields are copied
    _check_choices(value.get("n"))
    return CompletionsRequest(
        provider=provider,
        model=model,
        stream=optional_bool(value.get("stream"), "stream"),
        wants_usage=_read_wants_usage(value.get("stream_options")),
        fields=split_object(body),
    )


def render_completions(
    request: CompletionsRequest,
    *,
    model: str,
    rules: ParamRules,
    ask_usage: bool,
    output_cap: int | None = None,
) -> bytes:
    """The body for a provider: `model` replaced in its place, then the registry's rules.

    `output_cap` is asked for where the caller asks for no length.
    """
    fields = dict(request.fields)
    fields["model"] = _encode(model)
    if output_cap is not None:
        _cap_output(fields, output_cap)
    if request.stream and ask_usage:
        ask_for_usage(fields)  # before the rules: a provider that refuses it has a drop rule
    return join_object(apply_rules(fields, rules))


def _cap_output(fields: dict[str, bytes], output_cap: int) -> None:
    idle = [name for name in OUTPUT_FIELDS if fields.get(name, NULL) in _NO_LENGTH]
    if len(idle) == len(OUTPUT_FIELDS):
        fields["max_tokens"] = _encode(output_cap)
        idle.remove("max_tokens")
    for name in idle:
        fields.pop(name, None)


def _read_model(value: object) -> tuple[str, str]:
    provider, slash, model = require_model_text(value, "model").partition("/")
    if not provider or (slash and not model):
        raise refuse("model", "`<provider>/<model>`, or `<provider>` for its default model")
    return provider, model


def _read_wants_usage(options: object) -> bool:
    if options is None:
        return False
    if type(options) is not dict:
        raise refuse("stream_options", "an object")
    return optional_bool(options.get("include_usage"), "stream_options.include_usage")


def _check_choices(value: object) -> None:
    if value is None:
        return
    if type(value) is not int or not 1 <= value <= MAX_CHOICES:
        raise refuse("n", f"a whole number from 1 to {MAX_CHOICES}")
