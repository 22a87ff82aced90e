"""What a chat front end reads of an answer that went well: raw text, chunk by chunk.

The rule here: bytes are compared as they came off the socket, framing included.
"""

import json

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import HELLO, chat, chat_body, header_of, http_request, simulated
from tests.contract.stepwise import DONE, StepwiseProvider, chunk_event, text_event
from tests.plugins.gateway import Gateway
from tests.plugins.raw_caller import Caller

CHAT = "/api/chat/sim"
FINISH = chunk_event({}, "stop")
# With the end of the chunk before it: a head may end in "0" and a blank line, too.
LAST = b"\r\n0\r\n\r\n"


async def test_the_body_is_one_chunk_for_each_delta_and_nothing_else(single: Gateway) -> None:
    """The front end shows what it reads: a frame, a prefix or a line end would be shown too."""
    heard = await chat(single, simulated(tokens=["Hel", "lo ", "wörld"]))

    assert heard.status == 200
    assert heard.framed == b"3\r\nHel\r\n3\r\nlo \r\n6\r\nw\xc3\xb6rld\r\n0\r\n\r\n"


async def test_the_head_says_raw_text_and_that_nobody_may_hold_it_back(single: Gateway) -> None:
    """A proxy that buffers or compresses turns a stream into one late lump."""
    heard = await chat(single)

    assert heard.raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert header_of(heard, "content-type") == "text/plain; charset=utf-8"
    assert header_of(heard, "x-experimental-stream-data") == "false"
    assert header_of(heard, "transfer-encoding") == "chunked"
    assert header_of(heard, "content-length") is None
    assert header_of(heard, "x-accel-buffering") == "no"
    assert header_of(heard, "cache-control") == "no-cache, no-store, no-transform"
    assert header_of(heard, "x-request-id")


async def test_a_delta_is_read_before_the_provider_sends_the_next_one(
    stepped: Gateway, provider: StepwiseProvider
) -> None:
    """Text that waits for more text is what people call "it does not stream"."""
    async with Caller(stepped.port) as caller:
        await caller.send(http_request("POST", CHAT, chat_body()))
        for text in ("one", "two", "three"):
            provider.send(text_event(text))
            await caller.read_until(b"%x\r\n%b\r\n" % (len(text), text.encode()))
        provider.send(FINISH, DONE)
        provider.end()

        assert await caller.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"


async def test_deltas_of_one_read_stay_chunks_of_their_own(
    stepped: Gateway, provider: StepwiseProvider
) -> None:
    """One chunk a delta holds however the provider's bytes are bundled on their way."""
    provider.send(text_event("one") + text_event("two") + FINISH + DONE)
    provider.end()

    heard = await chat(stepped)

    assert heard.framed == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_no_head_leaves_before_the_first_text(
    stepped: Gateway, provider: StepwiseProvider
) -> None:
    """Until there is text a failure can still be a status and a sentence."""
    fault = b'data: {"error":{"message":"Out of cards.","code":402}}\n\n'
    silence = (
        b": OPENROUTER PROCESSING\n\n",
        chunk_event({"role": "assistant", "content": ""}),
        chunk_event({"content": None}),
        chunk_event({"reasoning": "Let me think."}),
        chunk_event({"reasoning_content": "Let me think."}),
        text_event("\n\n  \t"),
    )
    provider.send(*silence, fault)
    provider.end()

    heard = await chat(stepped)

    assert heard.status == 402
    assert heard.json["message"] == "402 Out of cards."


@pytest.mark.parametrize(
    ("tokens", "chunks"),
    [
        (["\n\n", "  Hel", "\n", "lo"], [b"Hel", b"\n", b"lo"]),
        ([" ", "\t\r\n", "\u00a0\u2003\ufeff", "x ", " "], [b"x ", b" "]),
        (["Hi", "\n\n"], [b"Hi", b"\n\n"]),
    ],
)
async def test_blanks_are_trimmed_before_the_answer_and_kept_in_it(
    single: Gateway, tokens: list[str], chunks: list[bytes]
) -> None:
    """Models begin with line ends, and a code block further down lives by them."""
    heard = await chat(single, simulated(tokens=tokens))

    assert heard.chunks == chunks
    assert heard.is_whole


@pytest.mark.parametrize(
    "directive",
    [
        {"preset": "openai-usage", "usage": "own"},
        {"preset": "openai-moderation"},
        {"preset": "groq-2025"},
        {"preset": "groq-2026"},
        {"preset": "openrouter"},
        {"preset": "openrouter-2025"},
        {"preset": "deepseek"},
        {"preset": "mistral"},
        {"preset": "mistral-content-parts"},
        {"preset": "xai"},
        {"preset": "zai"},
        {"preset": "perplexity"},
        {"preset": "together"},
        {"preset": "azure-prelude"},
        {"preset": "bedrock"},
        {"preset": "moonshot"},
        {"preset": "vllm-continuous"},
        {"preset": "llamacpp", "choices": 1, "first_choice": 0},
        {"preset": "crlf"},
        {"preset": "cr"},
        {"preset": "no-space"},
        {"preset": "trailing-spaces"},
        {"preset": "no-done"},
        {"preset": "two-dones"},
        {"preset": "until-eof"},
        {"preset": "gzip"},
        {"finish": "with_content", "usage": "with_finish", "done": "never"},
        {"tool_calls": [{"pieces": 3}]},
        {"reasoning": ["Let", " me"], "comments": {"before": 3, "every": 1}},
    ],
    ids=lambda directive: directive.get("preset", "own"),
)
async def test_only_text_comes_through(single: Gateway, directive: dict[str, object]) -> None:
    """Reasoning, tool calls, usage, roles and comments are no part of what the model says."""
    heard = await chat(single, simulated(**{**directive, "tokens": ["Only", " this", "."]}))

    assert heard.chunks == [b"Only", b" this", b"."]
    assert heard.is_whole


@pytest.mark.parametrize(
    "directive",
    [{"tokens": []}, {"tokens": ["", " ", "\n"]}, {"tokens": [], "tool_calls": [{}]}],
)
async def test_an_answer_without_text_is_200_and_an_empty_body(
    single: Gateway, directive: dict[str, object]
) -> None:
    """The front end stores an empty answer; an error would tell of a failure that was none."""
    heard = await chat(single, simulated(**directive))

    assert heard.status == 200
    assert header_of(heard, "content-type") == "text/plain; charset=utf-8"
    assert heard.framed == b"0\r\n\r\n"


TEXT = "aé世👩‍🚀z"


async def test_a_character_cut_anywhere_arrives_whole(
    stepped: Gateway, provider: StepwiseProvider
) -> None:
    """TCP cuts where it likes; half a character must never become U+FFFD."""
    event = text_event(TEXT)
    for cut_bytes in range(1, len(event)):
        provider.send(event[:cut_bytes], event[cut_bytes:] + FINISH + DONE)
        provider.end()

        heard = await chat(stepped)

        assert heard.chunks == [TEXT.encode()], f"cut after {cut_bytes} bytes"


async def test_a_stream_of_single_bytes_gives_the_same_chunks(single: Gateway) -> None:
    """Every place at which a parser could lose its thread is in this one."""
    tokens = ["Grüße", ", ", "世界", "! ", "👩‍🚀"]

    heard = await chat(single, simulated(tokens=tokens, writes={"wire_bytes": 1}))

    assert heard.chunks == [token.encode() for token in tokens]
    assert heard.is_whole


@pytest.mark.parametrize(
    ("before", "chunks"), [("a", [b"a", "😀b".encode()]), ("", ["😀b".encode()])]
)
async def test_a_surrogate_pair_cut_between_two_deltas_is_one_character(
    stepped: Gateway, provider: StepwiseProvider, before: str, chunks: list[bytes]
) -> None:
    """Some providers cut their JSON escapes inside an emoji; each half alone is no character."""
    high, low = (
        b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % half
        for half in (before.encode() + rb"\ud83d", rb"\ude00b")
    )
    provider.send(high, low, FINISH, DONE)
    provider.end()

    heard = await chat(stepped)

    assert heard.chunks == chunks


async def test_half_a_surrogate_pair_is_left_out(
    stepped: Gateway, provider: StepwiseProvider
) -> None:
    """It cannot be written in UTF-8, and a question mark in its place would be ours."""
    lone = b'data: {"choices":[{"index":0,"delta":{"content":"a\\ud83d"}}]}\n\n'
    provider.send(lone, text_event("b"), FINISH, DONE)
    provider.end()

    heard = await chat(stepped)

    assert heard.body == b"ab"


async def test_a_second_question_on_the_same_connection_is_answered(single: Gateway) -> None:
    """A clean end leaves the connection as it was; browsers reuse it."""
    question = http_request("POST", CHAT, chat_body(simulated(tokens=["Yes"])), ())
    async with Caller(single.port) as caller:
        await caller.send(question)
        first = await caller.read_until(LAST)
        await caller.send(question)
        second = await caller.read_until(LAST)

    assert first.endswith(b"\r\n\r\n3\r\nYes\r\n0\r\n\r\n")
    assert second.endswith(b"\r\n\r\n3\r\nYes\r\n0\r\n\r\n")


async def test_leaving_ends_the_provider_s_answer(single: Gateway, simulator: Simulator) -> None:
    """The stop button must stop what costs money, not only what is shown."""
    body = chat_body(simulated(tokens=["Hel", "lo"], stall={"after_tokens": 1}))
    async with Caller(single.port) as caller:
        await caller.send(http_request("POST", CHAT, body))
        await caller.read_until(b"3\r\nHel\r\n")
        caller.hang_up()

        served = await simulator.journal.wait_for(lambda served: served.peer_left.is_set())

    assert served.content_tokens_sent == 1
    assert (await single.log.wait_for_settled())[0]["outcome"] == "client_gone"


async def test_leaving_before_the_first_text_ends_it_as_well(
    single: Gateway, simulator: Simulator
) -> None:
    """Nothing has come yet, so no failing write would ever tell us."""
    body = chat_body("stall-before-head")
    async with Caller(single.port) as caller:
        await caller.send(http_request("POST", CHAT, body))
        await simulator.journal.wait_for_count(1)
        caller.hang_up()

        served = await simulator.journal.wait_for(lambda served: served.peer_left.is_set())

    assert json.loads(served.body)["messages"] == HELLO
    assert (await single.log.wait_for_settled())[0]["outcome"] == "client_gone"
