"""`/v1/chat/completions` and `/v1/models`: the provider's own bytes, in the provider's own order.

The rule here: bodies are compared byte by byte, in both directions.
"""

import json

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import (
    COMPLETIONS,
    HELLO,
    ask,
    complete,
    events_of,
    header_of,
    http_request,
    simulated,
    stream,
)
from tests.contract.entries import entry
from tests.contract.stepwise import DONE, StepwiseProvider, chunk_event, text_event
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.raw_caller import Caller

WANTS_USAGE = {"stream_options": {"include_usage": True}}


async def test_an_unknown_request_goes_upstream_byte_by_byte(
    single: Gateway, simulator: Simulator
) -> None:
    """Providers have fields of their own; one that is lost or rewritten is a feature lost."""
    fields = (
        b'"zeta":1.0,"model":"%b","messages":[ {"role" : "user","content":"H\\u00e9 \\/ \xc3\xa9"}'
        b' ],"temperature":1e2,"top_p":0.10,"seed":12345678901234567890,"big":123456789012345678'
        b'901234567890,"neg":-0.0,"tiny":1E-400,"alpha":{ "b":1,"a":2.50,"n":null },"list":[ ],'
        b'"provider":{"order":["x","a"]},"":"empty name","stream":false'
    )

    heard = await ask(single, COMPLETIONS, b"{" + fields % b"sim/plain" + b"}")

    assert heard.status == 200
    assert simulator.journal.last.body == b"{" + fields % b"plain" + b"}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"", b',"stream_options":{"include_usage":true}'),
        (b',"stream_options":null', b',"stream_options":{"include_usage":true}'),
        (
            b',"stream_options":{"chunk_size":1.0,"include_usage":false}',
            b',"stream_options":{"chunk_size":1.0,"include_usage":true}',
        ),
        (
            b',"stream_options":{ "include_usage":true }',
            b',"stream_options":{ "include_usage":true }',
        ),
    ],
)
async def test_usage_is_always_asked_for_and_nothing_else_is_changed(
    single: Gateway, simulator: Simulator, options: bytes, expected: bytes
) -> None:
    """Accounting needs the count also for callers who do not."""
    body = b'{"stream":true,"model":"sim/plain","messages":[{"role":"user","content":"Hi"}]%b}'

    heard = await ask(single, COMPLETIONS, body % options)

    assert heard.is_whole
    assert simulator.journal.last.body == body.replace(b"sim/", b"") % expected


async def test_where_the_registry_says_so_usage_is_not_asked_for(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """A host with a closed schema answers an unknown field with an error."""
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url, stream_usage=False)},
        environ={"SIM_API_KEY": CREDENTIAL},
    )

    await stream(gateway)

    assert "stream_options" not in json.loads(simulator.journal.last.body)


PRESETS = [
    "plain",
    "openai-usage",
    "openai-moderation",
    "groq-2025",
    "groq-2026",
    "openrouter",
    "openrouter-2025",
    "openrouter-2026-03",
    "deepseek",
    "mistral",
    "mistral-content-parts",
    "mistral-tool-call",
    "mistral-tool-call-pieces",
    "alibaba-tool-call",
    "groq-tool-call",
    "zai",
    "xai",
    "perplexity",
    "together",
    "novita",
    "snowflake",
    "azure-prelude",
    "bedrock",
    "cerebras",
    "ollama",
    "vllm",
    "vllm-continuous",
    "llamacpp",
    "moonshot",
    "two-choices",
    "utf8",
    "bytes",
    "one-write",
    "crlf",
    "cr",
    "no-space",
    "trailing-spaces",
    "invalid-json",
    "no-done",
    "two-dones",
    "data-after-done",
    "until-eof",
]


async def test_a_stream_is_the_provider_s_own_bytes(single: Gateway, simulator: Simulator) -> None:
    """What a gateway parses and prints again loses what it did not know."""
    for preset in PRESETS:
        heard = await stream(single, preset, **WANTS_USAGE)

        assert header_of(heard, "content-type") == "text/event-stream; charset=utf-8", preset
        assert heard.is_whole, preset
        assert heard.body == simulator.journal.last.body_sent, preset


@pytest.mark.parametrize(
    "preset", ["plain", "openai-usage", "bedrock", "openrouter-2026-03", "two-choices"]
)
async def test_a_usage_chunk_that_nobody_asked_for_is_left_out(
    single: Gateway, simulator: Simulator, preset: str
) -> None:
    """Its empty `choices` breaks the clients that did not ask for it; all else stays."""
    heard = await stream(single, preset)

    sent = events_of(simulator.journal.last.body_sent)
    left_out = [event for event in sent if b'"choices":[]' in event]
    assert len(left_out) == 1
    assert heard.body == b"".join(event for event in sent if event not in left_out)


@pytest.mark.parametrize(
    "preset", ["deepseek", "groq-2026", "mistral", "openrouter", "vllm-continuous", "perplexity"]
)
async def test_usage_beside_a_choice_stays_where_it_is(
    single: Gateway, simulator: Simulator, preset: str
) -> None:
    """A finish reason stands in the same event; leaving it out would lose that too."""
    heard = await stream(single, preset)

    assert heard.body == simulator.journal.last.body_sent


async def test_the_choices_of_one_request_stay_interleaved(
    single: Gateway, simulator: Simulator
) -> None:
    """Each choice is told by its index alone, in the order in which the provider wrote it."""
    heard = await stream(single, simulated(tokens=["a", "b"], first_choice=1), n=2)

    events = [event for event in events_of(heard.body) if b'"content":' in event]
    choices = [json.loads(event[6:])["choices"][0] for event in events]
    assert [(choice["index"], choice["delta"]["content"]) for choice in choices] == [
        (1, ""),
        (0, ""),
        (1, "a"),
        (0, "a"),
        (1, "b"),
        (0, "b"),
    ]
    assert json.loads(simulator.journal.last.body)["n"] == 2


async def test_an_event_is_read_before_the_provider_sends_the_next_one(
    stepped: Gateway, provider: StepwiseProvider
) -> None:
    """The order of arrival, proven by the provider waiting for the caller."""
    body = {"model": "sim/m", "messages": HELLO, "stream": True}
    async with Caller(stepped.port) as caller:
        await caller.send(http_request("POST", COMPLETIONS, body))
        for text in ("one", "two", "three"):
            provider.send(text_event(text))
            await caller.read_until(text_event(text) + b"\r\n")
        provider.send(chunk_event({}, "stop"), DONE)
        provider.end()

        assert (await caller.read_until(b"\r\n0\r\n\r\n")).endswith(DONE + b"\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "model",
    [
        "plain",
        "deepseek-blank-lines",
        "groq-2026",
        "openrouter",
        "mistral",
        "two-choices",
        "utf8",
        simulated(json_bytes=300_000),
        simulated(tool_calls=[{}]),
        simulated(tokens=[]),
    ],
)
async def test_a_reply_is_the_provider_s_own_bytes(
    single: Gateway, simulator: Simulator, model: str
) -> None:
    """Also the blank lines that some send while the model is busy: JSON allows them."""
    heard = await complete(single, model)

    body = simulator.journal.last.body_sent
    assert heard.status == 200
    assert header_of(heard, "content-type") == "application/json"
    assert header_of(heard, "content-length") == str(len(body))
    assert header_of(heard, "transfer-encoding") is None
    assert heard.framed == body
    assert heard.json["object"] == "chat.completion"


async def test_numbers_in_a_reply_keep_their_text(single: Gateway) -> None:
    """A seed of 19 digits comes back as another one from a parser with doubles."""
    body = '\n\n{ "usage":null,"x":1.0,"y":1e2,"seed":7228414683750928001,"choices":[] }\n'

    heard = await complete(single, simulated(body=body, answer="json"))

    assert heard.framed == body.encode()
