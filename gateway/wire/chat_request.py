"""Requests of `POST /api/chat/{provider}`: `{chatSettings, messages, customModelId}`.

The rule here: only fields named in the contract go upstream. Other fields of the body are never
read, whatever they are called.
"""

from typing import Any

import msgspec

from gateway.wire.checks import refuse, require_messages, require_model_text
from gateway.wire.gemini_messages import convert_message
from gateway.wire.params import TRUE, ParamRules, apply_rules, ask_for_usage
from gateway.wire.strict_json import join_list, join_object, parse_object, split_object

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class ChatRequest(msgspec.Struct, frozen=True):
    """A request from the chat front end; only what the gateway acts on is checked."""

    model: str  # empty: the provider's default
    messages: bytes  # a JSON list, unchanged unless it was in Gemini's format
    temperature: bytes | None  # the number as it was written
    custom_model_id: str | None


def read_chat(body: bytes) -> ChatRequest:
    """The request in `body`, or a `DownstreamError` that names the field to fix."""
    value = parse_object(body)
    settings = value.get("chatSettings")
    if type(settings) is not dict:
        raise refuse("chatSettings", "an object")
    fields = split_object(body)
    return ChatRequest(
        model=require_model_text(settings.get("model"), "chatSettings.model"),
        messages=_read_messages(value.get("messages"), fields),
        temperature=_read_temperature(settings.get("temperature"), fields["chatSettings"]),
        custom_model_id=_read_custom_model_id(value.get("customModelId")),
    )


def render_chat(
    request: ChatRequest,
    *,
    model: str,
    rules: ParamRules,
    max_output: int | None,
    ask_usage: bool,
    output_cap: int | None = None,
) -> bytes:
    """The body for a provider; `rules.send` says which of our own parameters it accepts.

    `output_cap` is the length that a limit allows, and is always sent.
    """
    fields = {"model": _encode(model), "messages": request.messages}
    if request.temperature is not None and "temperature" in rules.send:
        fields["temperature"] = request.temperature
    if output_cap is None and "max_tokens" in rules.send:
        output_cap = max_output
    if output_cap is not None:
        fields["max_tokens"] = _encode(output_cap)
    fields["stream"] = TRUE
    if ask_usage:
        ask_for_usage(fields)
    return join_object(apply_rules(fields, rules))


def _read_messages(value: object, fields: dict[str, bytes]) -> bytes:
    messages = require_messages(value)
    raw = fields["messages"]
    if all("content" in message for message in messages):
        for index, message in enumerate(messages):
            _check_content(message["content"], f"messages[{index}].content")
        return raw
    return join_list(
        _read_message(message, bytes(item), index)
        for index, (message, item) in enumerate(zip(messages, _decode_items(raw), strict=True))
    )


def _read_message(message: dict[str, Any], raw: bytes, index: int) -> bytes:
    if "content" not in message and "parts" in message:
        return convert_message(message, f"messages[{index}]")
    _check_content(message.get("content"), f"messages[{index}].content")
    return raw


def _check_content(content: object, field: str) -> None:
    if type(content) is str:
        return
    if type(content) is not list:
        raise refuse(field, "a string or a list of parts")
    for index, part in enumerate(content):
        _check_part(part, f"{field}[{index}]")


def _check_part(part: object, field: str) -> None:
    if type(part) is not dict:
        raise refuse(field, "an object")
    match part.get("type"):
        case "text":
            if type(part.get("text")) is not str:
                raise refuse(f"{field}.text", "a string")
        case "image_url":
            image = part.get("image_url")
            if type(image) is not dict or type(image.get("url")) is not str:
                raise refuse(f"{field}.image_url", "an object with a string `url`")
        case _:
            raise refuse(f"{field}.type", "`text` or `image_url`")


def _read_temperature(value: object, settings: bytes) -> bytes | None:
    if value is None:
        return None
    if type(value) is not int and type(value) is not float:
        raise refuse("chatSettings.temperature", "a number")
    return split_object(settings)["temperature"]


def _read_custom_model_id(value: object) -> str | None:
    if value is not None and type(value) is not str:
        raise refuse("customModelId", "a string")
    return value or None
