"""What one event of a completion stream says.

The rule here: reading never raises, whatever a provider sends. An event that cannot be read is
reported as unreadable, and the calling code decides what that means.
"""

import enum
import json
import sys
from typing import Any

import msgspec

from gateway.core.usage import Usage, parse_usage
from gateway.wire.estimates import CHARS_PER_TOKEN
from gateway.wire.exact_usage import find_usage
from gateway.wire.plain_events import (
    SIZE_LINES,
    SIZES,
    UNDECODABLE,
    decode_plain,
    find_surroundings,
)
from gateway.wire.provider_errors import is_bare_error
from gateway.wire.sse import Fragment, parse_event

# Learn the shape of an event at most once in this many: some providers change the id in each one.
LESSON_EVENTS = 8
_LONGEST_KNOWN = len(SIZE_LINES)
_NO_INDEX = -sys.maxsize  # not -1: a negative index is odd, but a choice may have one


class EventKind(enum.IntEnum):
    """What an event means to the relay."""

    SILENCE = 0  # a comment, a role, an empty delta: nothing that the caller waits for
    CONTENT = 1  # text, reasoning or a tool call
    USAGE = 2  # only the usage
    DONE = 3  # the terminator
    FAULT = 4  # the provider says that it failed
    UNREADABLE = 5  # not JSON, or not a chunk
    GIANT = 6  # a piece of an event too large to read; it can only be content


# Module names, because an enum's attribute costs a look-up in its metaclass.
SILENCE = EventKind.SILENCE
CONTENT = EventKind.CONTENT
USAGE = EventKind.USAGE
DONE = EventKind.DONE
FAULT = EventKind.FAULT
UNREADABLE = EventKind.UNREADABLE
GIANT = EventKind.GIANT


class Delta(msgspec.Struct, gc=False):
    """What a chunk adds to one choice."""

    content: Any = None
    reasoning: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: Any = None
    audio: Any = None


class Choice(msgspec.Struct, gc=False):
    """One choice of a chunk."""

    index: Any = 0
    delta: Delta | None = None
    finish_reason: Any = None
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """The fields of a `chat.completion.chunk` that the relay reads."""

    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: Any = None


_decode = msgspec.json.Decoder(Chunk).decode  # 0.25 µs for a chunk of 240 bytes


def decode_chunk(payload: bytes) -> Chunk | None:
    """The chunk in an event's data; None if it holds none."""
    try:
        return _decode(payload)
    except UNDECODABLE:
        return _decode_leniently(payload)


def _decode_leniently(payload: bytes) -> Chunk | None:
    # NaN in logprobs, lone surrogates and tabs in texts are invalid JSON, but providers send them.
    try:
        return msgspec.convert(json.loads(payload, strict=False), Chunk)
    except UnicodeDecodeError:
        return _decode_broken(payload)
    except (ValueError, RecursionError):  # msgspec.ValidationError is a ValueError
        return None


def _decode_broken(payload: bytes) -> Chunk | None:
    """The chunk in data that is not valid UTF-8; None if the invalid bytes are in its text.

    Elsewhere they do no harm, as msgspec does not check fields that nobody reads.
    """
    try:
        chunk = msgspec.convert(_load(payload), Chunk)
        for choice in chunk.choices or ():
            if choice.delta is not None and isinstance(choice.delta.content, str):
                choice.delta.content.encode()
    except (ValueError, RecursionError):
        return None
    return chunk


def _load(payload: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """JSON whose text may be cut inside a character, as in some providers' error messages."""
    return json.loads(payload.decode("utf-8", "surrogateescape"), strict=False)


def _find_bare_error(payload: bytes) -> Any:  # noqa: ANN401 - the provider's own shape
    """The error in an event that has neither `choices` nor `error`; None if it holds no error."""
    try:
        value = _load(payload)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list) and value:
        value = value[0]  # Gemini wraps its errors in a list
    if not isinstance(value, dict):
        return None
    return value.get("error") or (value if is_bare_error(value) else None)


def _read_bare(payload: bytes) -> Any:  # noqa: ANN401 - the provider's own shape
    """What an event of type `error` without an `error` field says: an object, or any text."""
    try:
        value = _load(payload)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict | str) and value:
        return (value.get("error") or value) if isinstance(value, dict) else value
    return payload.decode("utf-8", "replace") or "error"


class StreamReader:
    """Reads the events of one stream and keeps what is needed to settle its usage.

    After each `read`, `text` is the text of the first choice in that event.
    """

    __slots__ = (
        "_before",
        "_behind",
        "_counted_events",
        "_finished",
        "_known_bytes",
        "_last_index",
        "_lesson_at",
        "_seen",
        "content_events",
        "done",
        "ending",
        "fault",
        "fault_is_plain",
        "framed_bytes",
        "text",
        "text_chars",
        "usage",
    )

    def __init__(self) -> None:
        self.text = ""
        self.content_events = 0
        self.text_chars = 0
        self.framed_bytes = 0  # total size of the events that `read_framed` has read
        self.usage: Usage | None = None  # the provider's latest count
        self._counted_events = 0  # how many events with content that count covers
        self.done = False
        self.fault: Any = None  # the provider's error, in its own shape
        self.fault_is_plain = False  # it is under `error`, where OpenAI clients look
        # What surrounds the text in the event that we learned from, which was one HTTP chunk, and
        # how many bytes that is with the end of the chunk. Before any is learned the number is
        # larger than any read.
        self._before = self._behind = b""
        self._known_bytes = _LONGEST_KNOWN
        self._lesson_at = 0  # learn again only after this many events with content
        self._last_index = _NO_INDEX
        self._seen: set[Any] = set()
        self._finished: dict[int, Any] = {}  # why each choice ended
        self.ending = b""  # the last event that ended a choice

    @property
    def is_complete(self) -> bool:
        """True after `[DONE]`, or a finish reason for every choice seen, and without an error."""
        if self.fault is not None:
            return False
        return self.done or (bool(self._seen) and self._seen <= self._finished.keys())

    def read_plain(self, read: bytes) -> bool:
        """True if `read` is exactly one event with one text delta; it has then been counted.

        Nearly every read is, and this costs only 0.6 µs, where splitting and `read` take 1.6. A
        line end inside rules it out: it may be just space in the JSON, or a second event.
        """
        payload = read[6:-2]
        if not (read.startswith(b"data: {") and read.endswith(b"}\n\n")):
            return False
        if b"\n" in payload or b"\r" in payload:
            return False
        try:
            choice = decode_plain(payload).choices[0]
        except UNDECODABLE:
            return False
        text = choice.delta.content
        if not text or choice.finish_reason is not None:
            return False
        self.text = text
        self.text_chars += len(text)
        self.content_events += 1
        if choice.index != self._last_index:
            self._note_index(choice.index)
        return True

    def read_framed(self, read: bytes) -> bytes | None:
        """Like `read_plain`, for a read that is exactly one HTTP chunk around such an event.

        It returns the read, whose framing may be sent on as it is, or None for any other read. It
        is one long function because it runs for nearly every chunk and calls cost time. Most
        chunks differ from the one before only in their text, and seeing that takes 0.5 µs, where
        reading the JSON takes 1.4.
        """
        length = len(read)
        if length < _LONGEST_KNOWN:
            line = SIZE_LINES[length]
            text_bytes = read.removeprefix(line + self._before).removesuffix(self._behind)
            if len(text_bytes) == length - len(line) - self._known_bytes:
                try:
                    text = text_bytes.decode()
                except UnicodeDecodeError:
                    return None
                # JSON escapes unprintable characters. A few others are unprintable too; texts with
                # those are simply read as JSON.
                if text and text.isprintable() and '"' not in text and "\\" not in text:
                    self.text = text
                    self.text_chars += len(text)
                    self.content_events += 1
                    self.framed_bytes += length - len(line) - 2
                    return read
        return self._read_framed_json(read)

    def _read_framed_json(self, read: bytes) -> bytes | None:
        size_end = read.find(b"\r\ndata: {", 1, 12)
        # Accept only the usual way to write a size: no extension, no sign, no leading zero.
        size = SIZES.get(read[:size_end], 0)
        if len(read) != size_end + 4 + size or not read.endswith(b"\n\n\r\n"):
            return None
        payload = read[size_end + 8 : -4]
        if b"\n" in payload or b"\r" in payload:
            return None
        try:
            choice = decode_plain(payload).choices[0]
        except UNDECODABLE:
            return None
        text = choice.delta.content
        if not text or choice.finish_reason is not None:
            return None
        self.text = text
        self.text_chars += len(text)
        self.content_events += 1
        self.framed_bytes += size
        if choice.index != self._last_index:
            self._note_index(choice.index)
        if self.content_events >= self._lesson_at:
            self._learn(read[size_end + 2 : -2], text)
        return read

    def _learn(self, event: bytes, text: str) -> None:
        self._lesson_at = self.content_events + LESSON_EVENTS
        surroundings = find_surroundings(event, text)
        if surroundings is not None:
            before, behind = surroundings
            self._before, self._behind = before, behind + b"\r\n"
            self._known_bytes = len(before) + len(self._behind)

    def _note_index(self, index: int) -> None:
        self._last_index = index
        self._seen.add(index)

    def read(self, event: bytes) -> EventKind:
        """The kind of this whole event; usage, finish reasons and errors are remembered."""
        self.text = ""
        if isinstance(event, Fragment):
            self.content_events += 1
            return GIANT
        kind, payload = parse_event(event)
        if not payload:  # a comment, or an empty event (some send it as keep-alive)
            return SILENCE
        if payload.startswith(b"[DONE]"):
            self.done = True
            return DONE
        chunk = decode_chunk(payload)
        if kind == b"error":
            return self._read_typed_error(chunk, payload)
        if chunk is None:
            return self._read_foreign(kind, payload)
        return self._read_chunk(chunk, payload)

    @property
    def finish_reasons(self) -> list[Any]:
        """Why the choices ended, in the provider's words and order."""
        return list(self._finished.values())

    def count_tokens(self) -> int:
        """Our estimate of the relayed tokens: each delta holds at least one, maybe several."""
        return max(self.content_events, -(-self.text_chars // CHARS_PER_TOKEN))

    def estimate_usage(self) -> Usage:
        """Our estimate as a `Usage`, for when the provider has not counted."""
        return Usage(None, self.count_tokens(), "estimate")

    def settle_usage(self) -> Usage | None:
        """The answer's usage: the provider's count, with our estimate for what it left out.

        Some providers first send a count before the first word. If the caller leaves soon after,
        no later count arrives.
        """
        if self.usage is None:
            return self.estimate_usage() if self.content_events else None
        if self.content_events <= self._counted_events and self.usage.tokens_out != 0:
            return self.usage
        return self.usage.raise_out(self.count_tokens())

    def _read_foreign(self, kind: bytes, payload: bytes) -> EventKind:
        """The kind of an event that is no chunk: an error, terminator, keep-alive or unreadable."""
        if self._read_bare_error(payload):
            return FAULT
        text = payload.strip()
        if text.startswith(b"[DONE]"):
            self.done = True
            return DONE
        # An event of a type other than message whose data is not JSON, such as `event: ping`.
        is_other = kind not in (b"", b"message") and not text.startswith((b"{", b"["))
        return SILENCE if is_other else UNREADABLE

    def _read_bare_error(self, payload: bytes) -> bool:
        bare_error = _find_bare_error(payload)
        if bare_error is None:
            return False
        self.fault = bare_error
        return True

    def _read_typed_error(self, chunk: Chunk | None, payload: bytes) -> EventKind:
        self.fault_is_plain = chunk is not None and bool(chunk.error)
        self.fault = (chunk.error if chunk is not None else None) or _read_bare(payload)
        return FAULT

    def _read_chunk(self, chunk: Chunk, payload: bytes) -> EventKind:
        if chunk.choices is None and not chunk.error and self._read_bare_error(payload):
            return FAULT
        if chunk.error:
            self._read_usage(chunk, payload)
            self.fault = chunk.error
            self.fault_is_plain = True
            return FAULT
        if chunk.usage is not None or chunk.x_groq is not None:
            self._read_usage(chunk, payload)
            if self.fault is not None:
                return FAULT
        if not chunk.choices:
            return USAGE if chunk.usage else SILENCE
        return self._read_choices(chunk.choices, payload)

    def _read_usage(self, chunk: Chunk, payload: bytes) -> None:
        groq = chunk.x_groq if isinstance(chunk.x_groq, dict) else {}
        if groq.get("error"):  # Groq says here why it stopped a stream early
            self.fault = groq["error"]
        usage = chunk.usage
        if isinstance(usage, dict) and "cost" in usage:
            usage = find_usage(payload)
        counted = parse_usage(usage) or parse_usage(groq.get("usage"))
        if counted is not None:
            self._note_count(counted)

    def _note_count(self, counted: Usage) -> None:
        before = self.usage
        if counted.tokens_out or not self.content_events:
            self._counted_events = self.content_events + 1  # plus the content of this very event
        elif counted.tokens_out == 0:  # from a provider that does not count, as there is content
            counted = msgspec.structs.replace(counted, tokens_out=None)
            if before is not None and not before.tokens_out:  # true only before any content
                before = msgspec.structs.replace(before, tokens_out=None)
        self.usage = counted if before is None else before.correct(counted)

    def _read_choices(self, choices: list[Choice], payload: bytes) -> EventKind:
        has_content = False
        for position, choice in enumerate(choices):
            index = choice.index if isinstance(choice.index, int) else 0
            self._seen.add(index)
            if choice.error or choice.finish_reason == "error":
                self.fault = choice.error or "The provider ended the answer with an error."
                return FAULT
            if choice.finish_reason:
                self._finished[index] = choice.finish_reason
                self.ending = payload
            if choice.delta is not None and self._read_delta(choice.delta, first=position == 0):
                has_content = True
        if not has_content:
            return SILENCE
        self.content_events += 1
        return CONTENT

    def _read_delta(self, delta: Delta, *, first: bool) -> bool:
        content = delta.content
        if content:
            text = content if isinstance(content, str) else _join_parts(content)
            self.text_chars += len(text)
            if first:
                self.text = text
            return True
        reasoning = delta.reasoning or delta.reasoning_content
        if isinstance(reasoning, str):
            self.text_chars += len(reasoning)
        elif delta.tool_calls:
            self.text_chars += _count_arguments(delta.tool_calls)
        return bool(
            reasoning or delta.tool_calls or delta.function_call or delta.refusal or delta.audio
        )


def _count_arguments(calls: Any) -> int:  # noqa: ANN401 - whatever a provider sends
    """The number of characters in tool call arguments: some send all of them in one chunk."""
    count = 0
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        arguments = function.get("arguments") if isinstance(function, dict) else None
        count += len(arguments) if isinstance(arguments, str) else 0
    return count


def _join_parts(content: Any) -> str:  # noqa: ANN401 - whatever a provider sends
    """The text of a list of content parts, as Mistral's thinking models send it."""
    if not isinstance(content, list):
        return ""
    parts = (part for part in content if isinstance(part, dict) and part.get("type") == "text")
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
