"""Requests of `POST /v1/chat/completions`: what we read of them, and what goes upstream.

The rule here: apart from the model and the fields that the registry's rules name, everything goes
upstream byte for byte, in its original order.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.wire.checks import optional_bool, refuse, require_messages, require_model_text
from gateway.wire.params import NULL, ParamRules, apply_rules, ask_for_usage
from gateway.wire.strict_json import join_object, parse_object, split_object

MAX_CHOICES: Final = 128
OUTPUT_FIELDS: Final = ("max_tokens", "max_completion_tokens")  # limit the answer's length
# Values that set no limit: Ollama reads 0 as none, and others refuse it.
_NO_LENGTH: Final = frozenset({NULL, b"0", b"-0"})

# Fields that let a provider use other models: OpenRouter does on any error of the first, and so
# does LiteLLM.
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
    """A request in the OpenAI dialect; only what the gateway acts on is checked."""

    provider: str
    model: str  # without the provider; empty: the provider's default
    stream: bool
    wants_usage: bool  # the caller asked for the usage chunk
    fields: Mapping[str, bytes]  # the top-level fields, unchanged

    def find_other_models(self, rules: ParamRules) -> str | None:
        """The name of a field, sent to the provider, that lets another model answer; else None."""
        for name in sorted(_OTHER_MODELS.intersection(self.fields).difference(rules.drop)):
            if self.fields[name] != NULL:
                return name
        return None


def read_completions(body: bytes) -> CompletionsRequest:
    """The request in `body`, or a `DownstreamError` that names the field to fix."""
    value = parse_object(body)
    provider, model = _read_model(value.get("model"))
    require_messages(value.pop("messages", None))  # popped: freed before the copy below
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
    """The body for a provider: `model` replaced in place, then the registry's rules applied.

    `output_cap` is sent if the caller does not limit the length.
    """
    fields = dict(request.fields)
    fields["model"] = _encode(model)
    if output_cap is not None:
        _cap_output(fields, output_cap)
    if request.stream and ask_usage:
        ask_for_usage(fields)  # first: a drop rule removes it for providers that refuse it
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
