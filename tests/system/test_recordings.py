"""What providers really sent, relayed by the live gateway and compared with the recording.

The rule here: every recorded stream in every cut; what the `openai` package makes of them is in
test_recordings_openai_package.py.
"""

from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.plugins.gateway import Gateway
from tests.plugins.recorded_streams import (
    BROKEN,
    CRLF,
    LARGE_BYTES,
    NATIVE,
    RANDOM,
    REPLIES,
    WHOLE,
    Stream,
    chat,
    complete,
    each,
    play,
    ways,
)
from tests.plugins.recordings import Recording

SMALL = [stream for stream in WHOLE if len(stream.sent()) < LARGE_BYTES]


@each("stream", WHOLE)
async def test_a_caller_gets_the_bytes_that_the_provider_sent(
    recorded_gateway: Gateway, simulator: Simulator, stream: Stream
) -> None:
    """A byte that is changed, lost or added may be the one that a caller relies on."""
    for way in ways(lf=("one piece", "bytes", *RANDOM), crlf=("one piece", RANDOM[0])):
        cut, line_end = way
        play(simulator, stream.sent(line_end), cut)

        heard = await complete(recorded_gateway, wants_usage=True)

        sent = simulator.journal.last.body_sent
        assert heard.body == stream.relayed(line_end, wants_usage=True) == sent, way
        assert heard.is_whole, way


@each("stream", WHOLE)
async def test_usage_that_nobody_asked_for_is_all_that_is_missing(
    recorded_gateway: Gateway, simulator: Simulator, stream: Stream
) -> None:
    """A client that reads `choices[0]` of every chunk breaks on a chunk without choices."""
    for way in ways(lf=("one piece", RANDOM[0]), crlf=("one piece", RANDOM[1])):
        cut, line_end = way
        play(simulator, stream.sent(line_end), cut)

        heard = await complete(recorded_gateway)

        assert heard.body == stream.relayed(line_end, wants_usage=False), way
        assert heard.is_whole, way


@each("stream", SMALL)
async def test_a_read_may_end_between_the_two_halves_of_a_crlf(
    recorded_gateway: Gateway, simulator: Simulator, stream: Stream
) -> None:
    """What is left out ends with its line end, not in the middle of it."""
    play(simulator, stream.sent(CRLF), "bytes")

    heard = await complete(recorded_gateway)

    assert heard.body == stream.relayed(CRLF, wants_usage=False)
    assert heard.is_whole


@each("stream", WHOLE)
async def test_a_chat_gets_the_text_and_nothing_else(
    recorded_gateway: Gateway, simulator: Simulator, stream: Stream
) -> None:
    """The front end appends whatever comes to the message."""
    for way in ways(lf=("one piece", "bytes", *RANDOM), crlf=RANDOM[:1]):
        cut, line_end = way
        play(simulator, stream.sent(line_end), cut)

        heard = await chat(recorded_gateway)

        assert heard.body.decode() == stream.text, way
        assert (heard.status, heard.is_whole) == (200, True), way


@each("stream", BROKEN)
async def test_a_stream_that_fails_is_cut_after_the_providers_own_error(
    recorded_gateway: Gateway, simulator: Simulator, stream: Stream
) -> None:
    """A `[DONE]` after an error, or a clean end, would make half an answer a whole one."""
    cuts = ("one piece", "bytes", *RANDOM)
    every_way = ways(lf=cuts, crlf=cuts)
    for number, way in enumerate(every_way, 1):
        cut, line_end = way
        play(simulator, stream.sent(line_end), cut)

        heard = await complete(recorded_gateway, wants_usage=True)

        assert heard.body == stream.relayed(line_end, wants_usage=True), way
        assert (heard.status, heard.is_whole) == (200, False), way
        line = (await recorded_gateway.log.wait_for_settled(number))[-1]
        assert line["outcome"] == "upstream_failed", way


@each("stream", [stream for stream in BROKEN if not stream.text])
async def test_a_chat_that_fails_before_its_text_is_answered_with_the_reason(
    recorded_gateway: Gateway, simulator: Simulator, stream: Stream
) -> None:
    """The front end shows `message`; reasoning that it never showed is no answer."""
    assert stream.fault is not None
    for cut in ("one piece", "bytes", *RANDOM):
        play(simulator, stream.sent(), cut)

        heard = await chat(recorded_gateway)

        assert heard.status == 400, cut
        assert heard.json["message"] == f"400 {stream.fault['message']}", cut


@each("stream", [stream for stream in BROKEN if stream.text])
async def test_a_chat_that_fails_in_its_text_is_cut(
    recorded_gateway: Gateway, simulator: Simulator, stream: Stream
) -> None:
    """A clean end would make half an answer a whole one."""
    play(simulator, stream.sent(), "bytes")

    heard = await chat(recorded_gateway)

    assert heard.body.decode() == stream.text
    assert (heard.status, heard.is_whole) == (200, False)


@each("recording", NATIVE)
@pytest.mark.parametrize("call", [complete, chat], ids=["v1", "chat"])
async def test_a_stream_of_another_dialect_is_a_failure(
    recorded_gateway: Gateway, simulator: Simulator, recording: Recording, call: Any
) -> None:
    """An address of another API, entered by mistake, must not look like an empty answer."""
    for cut in ("one piece", RANDOM[0]):
        play(simulator, recording.body.decode(), cut)

        heard = await call(recorded_gateway)

        assert heard.status == 502, cut
        assert heard.json["error"]["code"] == "upstream_truncated", cut


@pytest.mark.parametrize("preset", ["anthropic-native", "gemini-native"])
@pytest.mark.parametrize("call", [complete, chat], ids=["v1", "chat"])
async def test_the_other_dialects_are_a_failure_where_there_are_no_recordings(
    recorded_gateway: Gateway, simulator: Simulator, preset: str, call: Any
) -> None:
    """Of Gemini's own streams there is no recording, only their shape."""
    simulator.script(preset)

    heard = await call(recorded_gateway)

    assert heard.status == 502
    assert heard.json["error"]["code"] == "upstream_truncated"


@each("recording", REPLIES)
async def test_a_reply_comes_back_byte_for_byte(
    recorded_gateway: Gateway, simulator: Simulator, recording: Recording
) -> None:
    """Numbers, the order of keys and fields nobody knows yet are the caller's to read."""
    for cut in ("one piece", "bytes"):
        play(simulator, recording.body.decode(), cut)

        heard = await complete(recorded_gateway, stream=False)

        assert (heard.status, heard.body) == (200, recording.body), cut
        assert f"content-length: {len(recording.body)}\r\n" in f"{heard.head}\r\n", cut
