"""The blocks of a directive: how an answer is written, framed, cut, stalled and spoiled.

The rule here: every block is closed and frozen, and one left empty changes nothing.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=32 * 1024 * 1024)]
Number = Annotated[int, Meta(ge=0, le=2_000_000)]
Size = Annotated[int, Meta(ge=0, le=2**31)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Status = Annotated[int, Meta(ge=100, le=999)]
Json = dict[str, Any]

Framing = Literal[
    "auto",
    "chunked",
    "length",
    "eof",
    "length_and_chunked",
    "two_lengths",
    "unknown_coding",
    "bad_chunk",
]
ErrorShape = Literal[
    "openai",
    "groq",
    "groq_tool_use_failed",
    "openrouter",
    "mistral",
    "mistral_message_object",
    "mistral_message_list",
    "mistral_detail",
    "string",
    "xai",
    "gemini",
    "gemini_list",
    "anthropic",
    "cohere",
    "message",
    "vllm",
    "llamacpp",
    "html",
    "octet_stream",
    "text",
    "empty",
]
StreamErrorShape = Literal["openai", "groq", "openrouter", "openrouter_documented", "ollama"]
CutPlace = Literal[
    "before_head",
    "in_head",
    "after_head",
    "in_event",
    "after_tokens",
    "after_finish",
    "before_last_chunk",
]
StallPlace = Literal["before_head", "in_head", "after_head", "in_event", "after_tokens"]
JunkKind = Literal[
    "invalid_utf8",
    "invalid_json",
    "giant_line",
    "empty_events",
    "comments",
    "retry_lines",
    "blank_lines",
]


class Spec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A closed, frozen block of a directive."""


class ToolCall(Spec, frozen=True):
    """One tool call, streamed whole or in pieces."""

    name: Annotated[str, Meta(description="name of the function")] = "get_weather"
    arguments: Annotated[str, Meta(description="its arguments, as JSON text")] = '{"city":"Paris"}'
    id: Annotated[str, Meta(description="id of the call")] = "call_sim1"
    pieces: Annotated[
        int, Meta(ge=1, le=10_000, description="deltas the arguments are cut into")
    ] = 1
    has_index: Annotated[bool, Meta(description="false: no `index` key (Mistral)")] = True
    has_type: Annotated[bool, Meta(description="false: no `type` key (Mistral)")] = True
    later_id: Annotated[
        str | None, Meta(description="`id` repeated on later deltas, such as `` (Alibaba)")
    ] = None
    later_name: Annotated[
        str | None, Meta(description="`name` repeated on later deltas, such as `` (Mistral)")
    ] = None


class Comments(Spec, frozen=True):
    """SSE comments around the events of a stream."""

    text: Annotated[str, Meta(description="what follows the colon")] = " OPENROUTER PROCESSING"
    before: Annotated[Number, Meta(description="comments before the first event")] = 0
    every: Annotated[Number, Meta(description="one more after every so many events")] = 0


class SseStyle(Spec, frozen=True):
    """How one event is written down."""

    line_end: Annotated[
        Literal["lf", "crlf", "cr"], Meta(description="what ends a line of the stream")
    ] = "lf"
    event_line: Annotated[
        str, Meta(description="`event:` line on every event; `{type}` takes the payload's `type`")
    ] = ""
    data_first: Annotated[
        bool, Meta(description="`data:` before `event:` in each event (Bedrock)")
    ] = False
    id_lines: Annotated[bool, Meta(description="an `id:` line on every event")] = False
    space_after_colon: Annotated[bool, Meta(description="false: `data:{` without a space")] = True
    trailing_spaces: Annotated[Number, Meta(description="spaces after the data of each event")] = 0
    padding: Annotated[
        Number, Meta(description="spaces before the last brace of each event (Anthropic)")
    ] = 0
    leading_blank_lines: Annotated[
        Number, Meta(description="blank lines before the body, also before a JSON body (DeepSeek)")
    ] = 0
    ascii_only: Annotated[bool, Meta(description="escape everything that is not ASCII")] = False
    byte_order_mark: Annotated[bool, Meta(description="begin with a UTF-8 byte order mark")] = False


class Writes(Spec, frozen=True):
    """Where the bytes of the answer are cut into writes to the socket."""

    events_per_write: Annotated[int, Meta(ge=1, description="events joined into one write")] = 1
    body_bytes: Annotated[
        Number, Meta(description="cut the body every so many bytes; each piece is an HTTP chunk")
    ] = 0
    in_utf8: Annotated[
        bool, Meta(description="cut inside every character of more than one byte")
    ] = False
    at: Annotated[
        tuple[int, ...], Meta(description="cut the body at these offsets, and only there")
    ] = ()
    wire_bytes: Annotated[
        Number, Meta(description="cut everything, head and chunk sizes too, every so many bytes")
    ] = 0
    drip_s: Annotated[Seconds, Meta(description="wait between the pieces of one event")] = 0


class HttpStyle(Spec, frozen=True):
    """How the message is framed, and what else is wrong with it."""

    framing: Annotated[
        Framing, Meta(description="how the body's end is told; `auto`: chunked, JSON by length")
    ] = "auto"
    headers: Annotated[
        tuple[tuple[str, str], ...], Meta(description="further response headers, in order")
    ] = ()
    content_type: Annotated[
        str | None, Meta(description="in place of the right one; empty text leaves it out")
    ] = None
    status_line: Annotated[str, Meta(description="in place of the status line")] = ""
    filler_headers: Annotated[Number, Meta(description="so many headers of no meaning")] = 0
    giant_header_bytes: Annotated[Size, Meta(description="one header of this size")] = 0
    interim: Annotated[Number, Meta(description="interim responses before the head")] = 0
    interim_status: Annotated[Status, Meta(description="their status: 100, 102, 103")] = 103
    after_end: Annotated[str, Meta(description="bytes sent after the end of the message")] = ""
    trailers: Annotated[
        tuple[tuple[str, str], ...], Meta(description="trailer fields after the last chunk")
    ] = ()
    connection: Annotated[
        Literal["keep", "close", "drop"],
        Meta(description="after the answer: keep; say `Connection: close`; close unannounced"),
    ] = "keep"
    gzip: Annotated[bool, Meta(description="gzip the body, whatever was accepted")] = False
    gzip_bomb_mib: Annotated[
        Annotated[int, Meta(ge=0, le=1024)],
        Meta(description="so many MiB of zeros, gzipped, as the body"),
    ] = 0


class ErrorReply(Spec, frozen=True):
    """An error instead of an answer, in one of the shapes providers use."""

    status: Annotated[Status, Meta(description="HTTP status; 200 is allowed")] = 500
    shape: Annotated[ErrorShape, Meta(description="shape of the body")] = "openai"
    message: Annotated[str | None, Meta(description="in place of the usual sentence")] = None
    type: Annotated[str | None, Meta(description="in place of the usual type")] = None
    code: Annotated[str | int | None, Meta(description="in place of the usual code")] = None
    retry_after: Annotated[str | None, Meta(description="value of `Retry-After`")] = None


class StreamError(Spec, frozen=True):
    """An error in the middle of a stream whose status was 200."""

    at: Annotated[
        Literal["after_tokens", "after_finish"],
        Meta(description="where; `after_finish`: behind every finish reason"),
    ] = "after_tokens"
    after_tokens: Annotated[Number, Meta(description="tokens sent before it")] = 0
    shape: Annotated[
        StreamErrorShape,
        Meta(description="`groq`: typed event; `openrouter`: chunk, then `[DONE]`; …"),
    ] = "openai"
    message: Annotated[str, Meta(description="what it says")] = "The model stopped unexpectedly."
    code: Annotated[str | int | None, Meta(description="in place of the usual code")] = None
    then_done: Annotated[
        bool | None, Meta(description="end with `[DONE]`; by default as the provider does")
    ] = None


class Cut(Spec, frozen=True):
    """The connection ends before the answer does."""

    at: Annotated[CutPlace, Meta(description="where")] = "after_tokens"
    after_tokens: Annotated[Number, Meta(description="tokens sent before it")] = 0
    by: Annotated[Literal["fin", "rst"], Meta(description="closed, or reset")] = "fin"


class Stall(Spec, frozen=True):
    """The answer stops, and the connection stays open."""

    at: Annotated[StallPlace, Meta(description="where")] = "after_tokens"
    after_tokens: Annotated[Number, Meta(description="tokens sent before it")] = 0
    for_s: Annotated[
        Seconds | None, Meta(description="then the answer goes on; left out: until the peer leaves")
    ] = None
    comment: Annotated[str | None, Meta(description="comment sent again and again meanwhile")] = (
        None
    )
    every_s: Annotated[Annotated[float, Meta(ge=0.001, le=3600)], Meta(description="how often")] = (
        1.0
    )


class Junk(Spec, frozen=True):
    """Bytes between the events that no reader should trip over."""

    kind: Annotated[JunkKind, Meta(description="what")]
    count: Annotated[Number, Meta(description="how many of them")] = 1
    mib: Annotated[
        Annotated[int, Meta(ge=0, le=1024)], Meta(description="size of a giant line")
    ] = 1
    after_tokens: Annotated[Number, Meta(description="tokens sent before it")] = 0
