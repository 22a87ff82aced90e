"""What may be asked of one simulated answer: a closed model, decoded from JSON.

The rule here: a field left out changes nothing, so `{}` is a plain answer of an OpenAI-type host.
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from gateway.simulator.blocks import (
    Comments,
    Cut,
    ErrorReply,
    HttpStyle,
    Json,
    Junk,
    Number,
    Seconds,
    Size,
    Spec,
    SseStyle,
    Stall,
    Status,
    StreamError,
    Text,
    ToolCall,
    Writes,
)

UsageShape = Literal[
    "asked",
    "none",
    "own",
    "own_with_choice",
    "own_twice",
    "own_then_another",
    "with_finish",
    "x_groq",
    "x_groq_and_top",
    "every",
]
FinishShape = Literal["own", "twice", "with_content", "never"]
DoneShape = Literal["once", "never", "twice", "then_data"]
RoleShape = Literal["own", "null_content", "every", "none"]


class Directive(Spec, frozen=True):
    """Everything one answer can be told."""

    preset: Annotated[str, Meta(description="start from this preset, then change it")] = ""
    name: Annotated[
        str, Meta(description="tells two equal directives with `then` apart; else unused")
    ] = ""

    text: Annotated[Text | None, Meta(description="the answer; a token is a word")] = None
    tokens: Annotated[tuple[str, ...] | None, Meta(description="the answer, token by token")] = None
    count: Annotated[Number | None, Meta(description="an answer of so many tokens")] = None
    template: Annotated[str, Meta(description="each of them; `{i}` is its number")] = " word{i}"
    reasoning: Annotated[tuple[str, ...], Meta(description="reasoning tokens before it")] = ()
    reasoning_field: Annotated[
        str, Meta(description="`reasoning_content`, or `reasoning` (Groq, OpenRouter)")
    ] = "reasoning_content"
    tool_calls: Annotated[tuple[ToolCall, ...], Meta(description="tool calls after the text")] = ()
    content_parts: Annotated[
        bool, Meta(description="content is a list of parts (Mistral's thinking models)")
    ] = False
    json_bytes: Annotated[
        Size, Meta(description="a JSON answer of exactly this size, filled up with `x`")
    ] = 0
    body: Annotated[
        Text | None,
        Meta(description="send this text as the body, untouched; `answer` says which kind"),
    ] = None
    events: Annotated[
        tuple[Json, ...], Meta(description="send these events in place of our chunks")
    ] = ()
    choices: Annotated[
        Annotated[int, Meta(ge=1, le=128)] | None,
        Meta(description="number of choices; by default the request's `n`, up to 16"),
    ] = None
    first_choice: Annotated[
        Number, Meta(description="index that opens each round of choices (llama.cpp: 1)")
    ] = 0
    obey_max_tokens: Annotated[
        bool, Meta(description="stop with `length` at the request's `max_tokens`")
    ] = False

    head_delay_s: Annotated[Seconds, Meta(description="from the request to the head")] = 0
    ttft_s: Annotated[Seconds, Meta(description="from the head to the first token")] = 0
    gap_s: Annotated[Seconds, Meta(description="between two events")] = 0

    answer: Annotated[
        Literal["as_asked", "json", "stream"], Meta(description="whatever `stream` asked for")
    ] = "as_asked"
    status: Annotated[Status, Meta(description="status of an answer that is no error")] = 200
    role: Annotated[RoleShape, Meta(description="where the role and an empty content go")] = "own"
    finish: Annotated[FinishShape, Meta(description="where `finish_reason` goes")] = "own"
    finish_reason: Annotated[str, Meta(description="its value")] = ""
    finish_key: Annotated[
        Literal["null", "missing"], Meta(description="`finish_reason` in all other chunks")
    ] = "null"
    usage: Annotated[
        UsageShape, Meta(description="where usage goes; `asked`: own chunk if `include_usage`")
    ] = "asked"
    usage_nulls: Annotated[
        bool | None, Meta(description='`"usage":null` in all other chunks; default: as OpenAI')
    ] = None
    usage_values: Annotated[Json, Meta(description="fields put over the true usage")] = field(
        default_factory=dict
    )
    prompt_tokens: Annotated[
        int | None, Meta(description="prompt tokens; by default estimated from the messages")
    ] = None
    done: Annotated[DoneShape, Meta(description="`[DONE]` at the end")] = "once"
    obfuscation: Annotated[bool, Meta(description="OpenAI's padding on every delta")] = False
    last_object: Annotated[
        str, Meta(description="`object` of the last chunk (Perplexity: chat.completion.done)")
    ] = ""
    prelude: Annotated[tuple[Json, ...], Meta(description="events before all others")] = ()
    chunk_extra: Annotated[Json, Meta(description="fields put over every chunk")] = field(
        default_factory=dict
    )
    first_extra: Annotated[Json, Meta(description="fields put over the first chunk")] = field(
        default_factory=dict
    )
    last_extra: Annotated[Json, Meta(description="fields put over the finish chunk")] = field(
        default_factory=dict
    )
    choice_extra: Annotated[Json, Meta(description="fields put over every choice")] = field(
        default_factory=dict
    )
    delta_extra: Annotated[Json, Meta(description="fields put over every delta")] = field(
        default_factory=dict
    )
    leave_out: Annotated[
        tuple[str, ...], Meta(description="keys of a chunk or an answer to leave out")
    ] = ()

    sse: SseStyle = SseStyle()
    comments: Comments = Comments()
    writes: Writes = Writes()
    http: HttpStyle = HttpStyle()

    error: ErrorReply | None = None
    stream_error: StreamError | None = None
    redirect_to: Annotated[str, Meta(description="answer with a redirect to this address")] = ""
    redirect_status: Annotated[Status, Meta(description="its status")] = 302
    cut: Cut | None = None
    stall: Stall | None = None
    junk: Junk | None = None

    path: Annotated[str, Meta(description="scripted: only for requests whose path ends so")] = (
        "/chat/completions"
    )
    credential: Annotated[
        str | None, Meta(description="401 unless the request carries this credential")
    ] = None
    times: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)], Meta(description="requests it is good for")
    ] = 1
    then: Annotated[
        tuple["Directive", ...], Meta(description="directives for the requests after those")
    ] = ()
    precomputed: Annotated[
        bool, Meta(description="make the bytes once and send them to everybody: for load")
    ] = False
