"""Messages in Gemini's format, which the chat front end sends for provider `google`.

The rule here: google is called through its OpenAI-compatible endpoint, so the result is a pure
OpenAI message.
"""

from typing import Any

import msgspec

from gateway.wire.checks import refuse

_encode = msgspec.json.Encoder().encode
_ROLES = {"user": "user", "model": "assistant"}


def convert_message(message: dict[str, Any], field: str) -> bytes:
    """Turn `{role, parts}` into an OpenAI message; a single text part becomes a plain string."""
    role = _ROLES.get(message["role"])
    if role is None:
        raise refuse(f"{field}.role", "`user` or `model` in a message with `parts`")
    parts = message["parts"]
    if type(parts) is not list or not parts:
        raise refuse(f"{field}.parts", "a non-empty list")
    content = [_convert_part(part, f"{field}.parts[{index}]") for index, part in enumerate(parts)]
    if len(content) == 1 and content[0]["type"] == "text":
        return _encode({"role": role, "content": content[0]["text"]})
    return _encode({"role": role, "content": content})


def _convert_part(part: object, field: str) -> dict[str, Any]:
    if type(part) is not dict:
        raise refuse(field, "an object")
    if type(text := part.get("text")) is str:
        return {"type": "text", "text": text}
    match part.get("inlineData"):
        case {"mimeType": str(mime), "data": str(encoded)}:
            return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{encoded}"}}
        case _:
            raise refuse(field, "a `text` or an `inlineData` with `mimeType` and `data`")
