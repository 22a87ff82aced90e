"""The text of a prompt or an answer, readable for people.

The rule here: reading never raises, whatever was sent. Parts other than text are named, not shown.
"""

import msgspec

# Anything larger is shown unparsed, as parsing it would hold up all other requests.
MAX_READ_BYTES = 256 * 1024

_decode = msgspec.json.Decoder().decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def render_prompt(messages: bytes, max_chars: int) -> str:
    """One line of `role: text` for each message, cut to `max_chars`."""
    if len(messages) > MAX_READ_BYTES:
        return messages[:max_chars].decode("utf-8", "replace")
    try:
        found = _decode(messages)
    except _UNREADABLE:
        return messages[:max_chars].decode("utf-8", "replace")
    lines = [
        f"{message.get('role')}: {_text_of(message)}"
        for message in (found if isinstance(found, list) else ())
        if isinstance(message, dict)
    ]
    return "\n".join(lines)[:max_chars]


def render_answer(body: bytes, max_chars: int) -> str:
    """The text of the first choice of a whole answer, cut to `max_chars`."""
    if len(body) > MAX_READ_BYTES:
        return body[:max_chars].decode("utf-8", "replace")
    try:
        found = _decode(body)
    except _UNREADABLE:
        return ""
    choices = found.get("choices") if isinstance(found, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return _text_of(message)[:max_chars] if isinstance(message, dict) else ""


def _text_of(message: dict[str, object]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(_part_text(part) for part in content)
    return " ".join(f"[{name}]" for name in ("tool_calls", "refusal") if message.get(name))


def _part_text(part: object) -> str:
    if isinstance(part, dict):
        text = part.get("text")
        return text if isinstance(text, str) else f"[{part.get('type')}]"
    return part if isinstance(part, str) else "[?]"
