"""The words of a prompt or an answer, as people read them.

The rule here: whatever was sent is read without raising; what is no text is named, not shown.
"""

import msgspec

# What is larger is shown as it came: reading it would hold up everybody else.
MAX_READ_BYTES = 256 * 1024

_decode = msgspec.json.Decoder().decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def render_prompt(messages: bytes, max_chars: int) -> str:
    """`role: text` for each message, a line for each; at most so many characters."""
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
    """The text of a whole answer's first choice, as of a stream's; at most so many characters."""
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
