"""What an answer says, as the deltas a model would produce one after the other.

The rule here: one delta of text, reasoning or tool call is one token, so that counts compare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.simulator.asking import Ask
    from gateway.simulator.blocks import Json, ToolCall
    from gateway.simulator.directive import Directive

PLAIN_ANSWER = "This is a simulated answer. It says what it was told to say, and nothing else."
WORD = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True)
class Content:
    """The answer of one choice."""

    reasoning: tuple[str, ...]
    tokens: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str

    @property
    def token_count(self) -> int:
        """Tokens in all, as usage reports them."""
        return len(self.reasoning) + len(self.tokens) + sum(call.pieces for call in self.tool_calls)


def write_content(directive: Directive, ask: Ask) -> Content:
    """What the directive has the model say."""
    tokens = _tokens(directive)
    limit = ask.max_tokens if directive.obey_max_tokens else None
    is_short = limit is not None and limit < len(tokens)
    usual = "tool_calls" if directive.tool_calls else "length" if is_short else "stop"
    return Content(
        reasoning=directive.reasoning,
        tokens=tokens[:limit],
        tool_calls=directive.tool_calls,
        finish_reason=directive.finish_reason or usual,
    )


def split_words(text: str) -> tuple[str, ...]:
    """A text as tokens: words, each with the blanks before it."""
    return tuple(WORD.findall(text))


def _tokens(directive: Directive) -> tuple[str, ...]:
    if directive.tokens is not None:
        return directive.tokens
    if directive.text is not None:
        return split_words(directive.text)
    if directive.count is not None:
        return tuple(directive.template.replace("{i}", str(i)) for i in range(directive.count))
    return () if directive.tool_calls else split_words(PLAIN_ANSWER)


def write_deltas(directive: Directive, content: Content) -> Iterator[Json]:
    """The deltas of one choice, each one token."""
    for token in content.reasoning:
        yield {directive.reasoning_field: token}
    for token in content.tokens:
        yield {"content": as_parts(token) if directive.content_parts else token}
    for place, call in enumerate(content.tool_calls):
        for number, piece in enumerate(_pieces(call)):
            yield {"tool_calls": [_tool_delta(call, place, number, piece)]}


def as_parts(text: str) -> list[Json]:
    """A text in the list form that some models answer with."""
    return [{"type": "text", "text": text}]


def _pieces(call: ToolCall) -> list[str]:
    size = max(1, -(-len(call.arguments) // call.pieces))
    starts = range(0, size * call.pieces, size)
    return [call.arguments[start : start + size] for start in starts]


def _tool_delta(call: ToolCall, place: int, number: int, piece: str) -> Json:
    delta: Json = {"index": place} if call.has_index else {}
    function: Json = {"arguments": piece}
    if number == 0:
        delta["id"] = call.id
        function["name"] = call.name
    if number and call.later_id is not None:
        delta["id"] = call.later_id
    if number and call.later_name is not None:
        function["name"] = call.later_name
    if number == 0 and call.has_type:
        delta["type"] = "function"
    return {**delta, "function": function}
