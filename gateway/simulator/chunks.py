"""The events of a streamed answer, in every order and shape providers use.

The rule here: an event is only described, never written down; how it becomes bytes is `sse.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gateway.simulator.content import Content, write_content, write_deltas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.simulator.asking import Ask
    from gateway.simulator.blocks import Json
    from gateway.simulator.directive import Directive

# Answers are the same bytes in every run: golden files and caches depend on it.
CREATED = 1_767_225_600
OBFUSCATION = "kX3pQ9vZ2mT7"

EventKind = Literal["prelude", "role", "token", "finish", "usage", "done", "error"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream; a token event carries one token of content."""

    kind: EventKind
    payload: Json | str
    name: str = ""

    @property
    def tokens(self) -> int:
        """Content tokens in it."""
        return int(self.kind == "token")


@dataclass(slots=True)
class ChunkWriter:
    """Writes the chunks of one answer in the shape its directive asks for."""

    directive: Directive
    ask: Ask
    answer_id: str
    content: Content = field(init=False)
    usage_shape: str = field(init=False)
    tokens_sent: int = 0
    is_first: bool = True

    def __post_init__(self) -> None:
        self.content = write_content(self.directive, self.ask)
        shape = self.directive.usage
        asked = "own" if self.ask.include_usage else "none"
        self.usage_shape = asked if shape == "asked" else shape

    @property
    def indexes(self) -> list[int]:
        """The choices, in the order in which each round of deltas visits them."""
        count = self.directive.choices or self.ask.choices
        first = self.directive.first_choice % count
        return [*range(first, count), *range(first)]

    def events(self) -> Iterator[Event]:
        """The whole stream."""
        for payload in self.directive.prelude:
            yield Event("prelude", payload)
        if self.directive.role in ("own", "null_content"):
            text = "" if self.directive.role == "own" else None
            for index in self.indexes:
                delta = {"role": "assistant", "content": text}
                yield Event("role", self.chunk([self.choice(index, delta)]))
        yield from self._tokens()
        yield from self._finish()
        yield from self._usage()
        yield from self._done()

    def chunk(self, choices: list[Json], **extra: object) -> Json:
        """One chunk around the given choices."""
        directive = self.directive
        chunk: Json = {
            "id": self.answer_id,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.ask.model,
            "choices": choices,
        }
        if self._has_null_usage():
            chunk["usage"] = None
        if self.usage_shape == "every":
            chunk["usage"] = self.usage(self.tokens_sent)
        chunk |= extra | directive.chunk_extra
        if self.is_first:
            chunk |= directive.first_extra
            self.is_first = False
        if directive.obfuscation and choices:
            chunk["obfuscation"] = OBFUSCATION
        return {key: value for key, value in chunk.items() if key not in directive.leave_out}

    def choice(self, index: int, delta: Json, finish_reason: str | None = None) -> Json:
        """One choice of a chunk."""
        choice: Json = {"index": index, "delta": delta | self.directive.delta_extra}
        if finish_reason is not None or self.directive.finish_key == "null":
            choice["finish_reason"] = finish_reason
        return choice | self.directive.choice_extra

    def usage(self, completion_tokens: int | None = None) -> Json:
        """Usage of the whole answer, or up to so many tokens."""
        total = self.content.token_count * len(self.indexes)
        tokens = total if completion_tokens is None else completion_tokens
        return count_usage(self.directive, self.ask, tokens)

    def _has_null_usage(self) -> bool:
        if self.directive.usage_nulls is not None:
            return self.directive.usage_nulls
        return self.directive.usage == "asked" and self.usage_shape == "own"

    def _tokens(self) -> Iterator[Event]:
        deltas = list(write_deltas(self.directive, self.content))
        for number, delta in enumerate(deltas):
            is_last = number == len(deltas) - 1 and self.directive.finish == "with_content"
            for index in self.indexes:
                self.tokens_sent += 1
                choice, extra = self._token(index, delta, is_last=is_last)
                yield Event("token", self.chunk([choice], **extra))

    def _token(self, index: int, delta: Json, *, is_last: bool) -> tuple[Json, Json]:
        if self.directive.role == "every":
            delta = {"role": "assistant", "content": "", **delta}
        if not is_last:
            return self.choice(index, delta), {}
        choice = self.choice(index, delta, self.content.finish_reason)
        return choice, self._finish_extra(is_last_choice=index == self.indexes[-1])

    def _finish(self) -> Iterator[Event]:
        if self.directive.finish in ("never", "with_content"):
            return
        rounds = 2 if self.directive.finish == "twice" else 1
        for number in range(rounds):
            for index in self.indexes:
                is_last = index == self.indexes[-1] and number == rounds - 1
                choice = self.choice(index, self._finish_delta(), self.content.finish_reason)
                extra = self._finish_extra(is_last_choice=is_last)
                yield Event("finish", self.chunk([choice], **extra))

    def _finish_delta(self) -> Json:
        return {"role": "assistant", "content": ""} if self.directive.role == "every" else {}

    def _finish_extra(self, *, is_last_choice: bool) -> Json:
        extra: Json = {}
        if not is_last_choice:
            return extra
        if self.usage_shape in ("with_finish", "x_groq_and_top"):
            extra["usage"] = self.usage()
        if self.usage_shape in ("x_groq", "x_groq_and_top"):
            extra["x_groq"] = {"id": "req_sim1", "usage": self.usage()}
        if self.directive.last_object:
            extra["object"] = self.directive.last_object
        return extra | self.directive.last_extra

    def _usage(self) -> Iterator[Event]:
        shape = self.usage_shape
        if shape == "own_with_choice":
            choice = self.choice(0, {"role": "assistant", "content": ""})
            yield Event("usage", self.chunk([choice], usage=self.usage()))
        if shape in ("own", "own_twice", "own_then_another"):
            yield Event("usage", self.chunk([], usage=self.usage()))
        if shape == "own_twice":
            yield Event("usage", self.chunk([], usage=self.usage()))
        if shape == "own_then_another":
            yield Event("usage", self.chunk([], usage=None, moderation={"flagged": False}))

    def _done(self) -> Iterator[Event]:
        shape = self.directive.done
        if shape == "never":
            return
        yield Event("done", "[DONE]")
        if shape == "twice":
            yield Event("done", "[DONE]")
        if shape == "then_data":
            yield Event("done", self.chunk([self.choice(0, {"content": " late"})]))


def count_usage(directive: Directive, ask: Ask, completion_tokens: int) -> Json:
    """Usage as a provider reports it, with the directive's lies put over it."""
    given = directive.prompt_tokens
    prompt_tokens = ask.prompt_tokens if given is None else given
    true: Json = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    if directive.reasoning:
        true["completion_tokens_details"] = {"reasoning_tokens": len(directive.reasoning)}
    return true | directive.usage_values
