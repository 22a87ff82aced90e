"""Answers that are one JSON document: completions and the list of models.

The rule here: a document says the same as the stream of the same directive would.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway.simulator.chunks import CREATED, count_usage
from gateway.simulator.content import Content, as_parts, write_content

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.simulator.asking import Ask
    from gateway.simulator.blocks import Json
    from gateway.simulator.directive import Directive

FILLER = b"x" * 65_536
MARK = "<filler>"


def render_json(document: object, *, ascii_only: bool = False) -> bytes:
    """A document as compact JSON."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=ascii_only).encode()


def render_completion(directive: Directive, ask: Ask, answer_id: str) -> list[bytes]:
    """A completion in pieces; only a filled-up one has more than one."""
    content = write_content(directive, ask)
    document = _completion(directive, ask, content, answer_id)
    ascii_only = directive.sse.ascii_only
    if not directive.json_bytes:
        return [render_json(document, ascii_only=ascii_only)]
    document["choices"] = [_choice(directive, 0, {"role": "assistant", "content": MARK}, "stop")]
    start, end = render_json(document, ascii_only=ascii_only).split(MARK.encode())
    pieces = [start, *fill(directive.json_bytes - len(start) - len(end)), end]
    return pieces if directive.json_bytes > len(FILLER) else [b"".join(pieces)]


def fill(size_bytes: int) -> list[bytes]:
    """So many bytes of filler, as the same object again and again."""
    whole, rest = divmod(max(0, size_bytes), len(FILLER))
    return [FILLER] * whole + ([FILLER[:rest]] if rest else [])


def _completion(directive: Directive, ask: Ask, content: Content, answer_id: str) -> Json:
    count = directive.choices or ask.choices
    message = _message(directive, content)
    choices = [_choice(directive, i, message, content.finish_reason) for i in range(count)]
    document: Json = {
        "id": answer_id,
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.model,
        "choices": choices,
        "usage": count_usage(directive, ask, content.token_count * count),
    }
    if directive.usage == "none":
        del document["usage"]
    document |= directive.chunk_extra
    return {key: value for key, value in document.items() if key not in directive.leave_out}


def _choice(directive: Directive, index: int, message: Json, finish_reason: str) -> Json:
    choice = {"index": index, "message": message, "finish_reason": finish_reason}
    if directive.finish == "never":
        del choice["finish_reason"]
    return choice | directive.choice_extra


def _message(directive: Directive, content: Content) -> Json:
    text = "".join(content.tokens)
    message: Json = {"role": "assistant", "content": text or None}
    if directive.content_parts:
        message["content"] = as_parts(text)
    if content.reasoning:
        message[directive.reasoning_field] = "".join(content.reasoning)
    if content.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in content.tool_calls
        ]
    return message | directive.delta_extra


def render_models(names: Iterable[str]) -> bytes:
    """`GET /v1/models`."""
    return render_json({"object": "list", "data": [model_card(name) for name in names]})


def model_card(name: str) -> Json:
    """One entry of the list of models."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "simulator"}
