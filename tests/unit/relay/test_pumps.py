"""From a provider's events to the caller's bytes, however the reads were cut."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.usage import Usage
from gateway.relay.pumps import MAX_TEXT_EVENT_BYTES, OpenAIPump, Pump, TextPump
from gateway.wire.sse import MAX_HELD_BYTES

USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
DONE = b"data: [DONE]\n\n"
COMMENT = b": OPENROUTER PROCESSING\n\n"
MARK = b"\xef\xbb\xbf"


def event(value: object, kind: str = "") -> bytes:
    """One event with this data."""
    line = f"event: {kind}\n" if kind else ""
    return f"{line}data: {json.dumps(value)}\n\n".encode()


def delta(index: int = 0, finish: str | None = None, **fields: object) -> bytes:
    """One event with one choice."""
    choice = {"index": index, "delta": fields, "finish_reason": finish}
    return event({"choices": [choice]})


def text(content: str) -> bytes:
    """One event with a delta of text."""
    return delta(content=content)


ROLE = delta(role="assistant", content="")
STOP = delta(finish="stop")
OWN_USAGE = event({"choices": [], "usage": USAGE})
FAULT = event({"error": {"message": "It broke.", "code": 500}})
STREAM = [COMMENT, ROLE, text(" Hel"), text("lö 😀"), delta(reasoning="hm"), STOP, OWN_USAGE, DONE]

PARTS = pytest.mark.parametrize("part_bytes", [1, 3, 1000, 1_000_000])


def pump_through(pump: Pump, reads: list[bytes]) -> bytes:
    """All that goes downstream, the end included; pieces are never empty."""
    pieces: list[bytes] = []
    for read in reads:
        pieces += pump.feed(read)
        if pump.fault is not None or pump.is_unreadable:
            break
    else:
        pieces += pump.finish()
    assert all(pieces)  # an empty chunk would be the last one
    return b"".join(pieces)


def cut(stream: bytes, part_bytes: int) -> list[bytes]:
    """The stream in reads of this size."""
    return [stream[start : start + part_bytes] for start in range(0, len(stream), part_bytes)]


class TestOpenAI:
    """What a caller of `/v1` gets."""

    @PARTS
    def test_the_providers_bytes_arrive_as_they_are(self, part_bytes: int) -> None:
        """The first promise: every byte, in order, comments and all."""
        stream = b"".join(STREAM)

        assert pump_through(OpenAIPump(wants_usage=True), cut(stream, part_bytes)) == stream

    @PARTS
    def test_a_credential_is_in_no_event_but_content(self, part_bytes: int) -> None:
        """A provider quotes the key that it refuses; what a model writes is the caller's own."""
        secret = "canary-credential-0451"
        comment, broken = f": {secret}\n\n".encode(), event({"error": {"message": secret}})
        stream = [comment, ROLE, text(f"my {secret}"), comment, broken]
        pump = OpenAIPump(wants_usage=True, secrets=[secret])

        relayed = pump_through(pump, cut(b"".join(stream), part_bytes))

        short = "…0451"
        assert relayed == b"".join(
            [
                f": {short}\n\n".encode(),
                ROLE,
                text(f"my {secret}"),
                f": {short}\n\n".encode(),
                event({"error": {"message": short}}),
            ]
        )
        assert pump.fault_was_relayed

    @PARTS
    def test_only_the_usage_chunk_nobody_asked_for_is_left_out(self, part_bytes: int) -> None:
        """It was asked for in the caller's name; an unprepared one indexes `choices[0]`."""
        pump = OpenAIPump(wants_usage=False)

        out = pump_through(pump, cut(b"".join(STREAM), part_bytes))

        assert out == b"".join(each for each in STREAM if each is not OWN_USAGE)
        assert pump.usage == Usage(3, 4, "provider")

    @pytest.mark.parametrize(
        "last",
        [
            event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": USAGE}),
            event({"choices": [{"delta": {"content": "b"}}], "usage": USAGE}),
            event({"choices": [], "usage": None}),
            event({"choices": [], "moderation": {}}),
        ],
    )
    def test_usage_in_a_chunk_with_anything_else_stays(self, last: bytes) -> None:
        """The finish reason of Mistral and Groq comes in the same chunk."""
        stream = [text("a"), last, STOP, DONE]

        assert pump_through(OpenAIPump(wants_usage=False), stream) == b"".join(stream)

    def test_plain_content_goes_out_in_the_read_that_brought_it(self) -> None:
        """One read, one chunk, no waiting."""
        pump = OpenAIPump(wants_usage=False)
        pump.feed(ROLE + text("first"))

        assert pump.feed(text("a")) == [text("a")]
        assert pump.is_plain
        assert pump.feed(text("b") + text("c")) == [text("b") + text("c")]
        assert (pump.is_plain, pump.saw_content) == (False, True)

    def test_half_an_event_waits_for_its_other_half(self) -> None:
        """It may be the half of an error, or of the terminator."""
        pump = OpenAIPump(wants_usage=False)

        assert pump.feed(text("a")[:20]) == []
        assert pump.feed(text("a")[20:]) == [text("a")]

    def test_the_terminator_waits_for_the_end_of_the_framing(self) -> None:
        """A stream that breaks after it must not have ended."""
        pump = OpenAIPump(wants_usage=False)

        assert pump.feed(text("a") + DONE) == [text("a")]
        assert pump.feed(COMMENT) == []
        assert pump.finish() == [DONE + COMMENT]
        assert pump.is_complete

    @pytest.mark.parametrize("late", [text("late"), DONE, OWN_USAGE, COMMENT])
    def test_what_follows_the_terminator_stays_behind_it(self, late: bytes) -> None:
        """In the provider's own order (fault G10)."""
        stream = [text("a"), DONE, late]

        assert pump_through(OpenAIPump(wants_usage=True), stream) == b"".join(stream)

    def test_what_follows_the_terminator_is_not_held_without_bound(self) -> None:
        """It is held until the end, and the end may never come."""
        pump = OpenAIPump(wants_usage=False)
        pump.feed(text("a") + DONE)

        for _ in range(MAX_HELD_BYTES // len(COMMENT) + 1):
            pump.feed(COMMENT)

        assert pump.is_unreadable
        assert not pump.is_complete

    @pytest.mark.parametrize("stream", [[ROLE, text("a")], [COMMENT], [], [text("a"), OWN_USAGE]])
    def test_a_stream_without_an_end_is_not_whole(self, stream: list[bytes]) -> None:
        """Nothing invents a `[DONE]` or a `stop`."""
        pump = OpenAIPump(wants_usage=True)

        assert pump_through(pump, stream) == b"".join(stream)
        assert not pump.is_complete

    def test_half_an_event_at_the_end_is_not_relayed(self) -> None:
        """The stream failed; a client would choke on the half before it reads our error."""
        pump = OpenAIPump(wants_usage=True)

        assert pump_through(pump, [text("a"), text("b")[:30]]) == text("a")
        assert not pump.is_complete

    @pytest.mark.parametrize("missing", [1, 2])
    def test_a_last_event_without_its_blank_line_counts(self, missing: int) -> None:
        """Some servers end the body right after the terminator."""
        pump = OpenAIPump(wants_usage=True)
        stream = text("a") + STOP + DONE[:-missing]

        assert pump_through(pump, [stream]) == stream
        assert pump.is_complete

    @PARTS
    @pytest.mark.parametrize("after", [b"", DONE, text("b")])
    def test_an_error_event_is_the_last_thing_that_is_relayed(
        self, part_bytes: int, after: bytes
    ) -> None:
        """Verbatim, and never followed by a `[DONE]` that OpenRouter sends."""
        pump = OpenAIPump(wants_usage=False)
        stream = ROLE + text("a") + FAULT

        assert pump_through(pump, cut(stream + after, part_bytes)) == stream
        assert pump.fault == {"message": "It broke.", "code": 500}
        assert (pump.fault_was_relayed, pump.is_complete) == (True, False)

    def test_an_error_that_clients_do_not_know_is_not_enough(self) -> None:
        """An error event of ours follows it."""
        pump = OpenAIPump(wants_usage=False)
        pump.feed(text("a") + delta(finish="error"))

        assert pump.fault is not None
        assert not pump.fault_was_relayed

    def test_an_error_event_that_is_not_ended_is_left_to_us(self) -> None:
        """A reader drops it for want of its blank line, so our own event has to say it."""
        pump = OpenAIPump(wants_usage=True)
        fault = b'data: {"error":{"message":"The model fell over","code":"boom"}}'

        assert pump.feed(text("a") + fault) == [text("a")]
        assert pump.finish() == []
        assert pump.fault is not None
        assert not pump.fault_was_relayed

    def test_a_giant_event_flows_through(self) -> None:
        """An image of 20 MiB in one line is relayed and never held (fault G06)."""
        pump = OpenAIPump(wants_usage=False)
        giant = event({"choices": [{"delta": {"images": ["x" * 2_000_000]}}]})
        stream = b"".join([ROLE, giant, text("a"), STOP, DONE])

        assert pump_through(pump, cut(stream, 10_000)) == stream
        assert pump.is_complete

    def test_a_piece_of_a_giant_event_is_content(self) -> None:
        """A provider who sends an image over a slow line is not silent."""
        pump = OpenAIPump(wants_usage=False)
        pump.feed(b"data: " + b"x" * MAX_HELD_BYTES)
        seen = [pump.saw_content]
        pump.feed(COMMENT[:2])
        seen.append(pump.saw_content)

        assert seen == [True, True]
        assert not pump.saw_end

    def test_bytes_that_cannot_be_read_are_relayed_all_the_same(self) -> None:
        """A client may understand what we do not (fault G05)."""
        stream = [text("a"), b'data: {"x": \xff}\n\n', b"data: {\n\n", STOP, DONE]

        assert pump_through(OpenAIPump(wants_usage=False), stream) == b"".join(stream)

    def test_content_is_the_commit_point(self) -> None:
        """Text, reasoning or a tool call; not a comment, a role or usage."""
        silent, thinking, calling = (OpenAIPump(wants_usage=True) for _ in range(3))
        silent.feed(COMMENT + ROLE + OWN_USAGE)
        thinking.feed(delta(reasoning_content="hm"))
        calling.feed(delta(tool_calls=[{"index": 0, "function": {"name": "f"}}]))

        seen = [pump.has_content for pump in (silent, thinking, calling)]
        assert seen == [False, True, True]

    def test_a_comment_of_ours_goes_between_two_events_only(self) -> None:
        """In the middle of one it would break it; after the terminator it comes too late."""
        pump = OpenAIPump(wants_usage=False)
        said = [pump.keep_alive()]
        for read in (text("a")[:10], text("a")[10:], DONE):
            pump.feed(read)
            said.append(pump.keep_alive())

        assert said == [b": keep-alive\n\n", b"", b": keep-alive\n\n", b""]

    def test_a_byte_order_mark_behind_a_comment_of_ours_is_none(self) -> None:
        """There a reader takes it for a part of the field's name, and the first text is lost."""
        pump = OpenAIPump(wants_usage=False)
        first = pump.keep_alive() + b"".join(pump.feed(MARK + text("a")))
        later = b"".join(pump.feed(MARK + text("b")))

        assert first == b": keep-alive\n\n" + text("a")
        assert later == MARK + text("b")  # it was there without us, too

    def test_a_giant_first_event_behind_a_comment_of_ours_is_content(self) -> None:
        """It is known by its first part."""
        pump = OpenAIPump(wants_usage=False)
        pump.keep_alive()

        pump.feed(b'data: {"choices": [{"delta": {"content": "' + b"x" * MAX_HELD_BYTES)

        assert pump.has_content

    def test_a_byte_order_mark_at_the_beginning_stays(self) -> None:
        """Every byte of the provider's, as it is."""
        pump = OpenAIPump(wants_usage=False)
        assert pump.feed(MARK + text("a")) == [MARK + text("a")]
        pump.keep_alive()

        assert pump.feed(MARK + text("b")) == [MARK + text("b")]

    def test_an_answer_without_usage_is_estimated(self) -> None:
        """It is not free because the provider forgot to count."""
        pump = OpenAIPump(wants_usage=False)
        assert pump.usage is None
        pump_through(pump, [text("a"), text("b"), STOP, DONE])

        assert pump.usage == Usage(None, 2, "estimate")


class TestText:
    """What a caller of `/api/chat` gets."""

    @PARTS
    def test_the_text_arrives_and_nothing_else(self, part_bytes: int) -> None:
        """Reasoning, roles, usage and comments are not for the front end."""
        pump = TextPump()

        assert pump_through(pump, cut(b"".join(STREAM), part_bytes)) == "Hellö 😀".encode()
        assert pump.is_complete
        assert pump.usage == Usage(3, 4, "provider")

    def test_each_delta_is_a_piece_of_its_own(self) -> None:
        """One chunk per non-empty delta, however many came in one read (contract 1.3)."""
        pump = TextPump()

        assert pump.feed(b"".join(map(text, ["\n\n", "  Hel", "\n", "lo", ""]))) == [
            b"Hel",
            b"\n",
            b"lo",
        ]
        assert pump.feed(text("a")) == [b"a"]

    def test_the_first_text_that_is_not_blank_is_the_commit_point(self) -> None:
        """Until it, every failure is a proper status."""
        pump = TextPump()
        seen = []
        for read in (ROLE, delta(reasoning="hm"), text("\n"), text("  "), text(" a"), text("b")):
            pump.feed(read)
            seen.append(pump.has_content)

        assert seen == [False, False, False, False, True, True]

    @pytest.mark.parametrize(
        "bad", [b"data: {\n\n", b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n']
    )
    def test_an_event_that_cannot_be_read_ends_the_answer(self, bad: bytes) -> None:
        """Text left out without a word would be a lie."""
        pump = TextPump()

        assert pump_through(pump, [text("a"), text("b") + bad + text("c"), DONE]) == b"ab"
        assert (pump.is_unreadable, pump.is_complete) == (True, False)

    def test_an_event_with_an_image_is_read(self) -> None:
        """The words around it are the answer here; hosts draw megabytes into one event."""
        image = event({"choices": [{"delta": {"content": "", "images": ["x" * 2_500_000]}}]})
        long = "é" * 500_000
        stream = b"".join([ROLE, text("a"), image, text(long), STOP, DONE])
        pump = TextPump()

        assert pump_through(pump, cut(stream, 60_000)) == f"a{long}".encode()
        assert (pump.is_unreadable, pump.is_complete) == (False, True)

    def test_an_event_without_an_end_is_not_held_for_ever(self) -> None:
        """What is too large to be read is not left out quietly (fault G06)."""
        pump = TextPump()
        pump.feed(text("a") + b"data: ")
        fed = 0
        while not pump.is_unreadable:
            pump.feed(b"x" * 64_000)
            fed += 64_000

        assert fed <= MAX_TEXT_EVENT_BYTES + 64_000

    @PARTS
    def test_an_error_event_ends_the_answer(self, part_bytes: int) -> None:
        """Also when the provider says `[DONE]` afterwards."""
        pump = TextPump()

        out = pump_through(pump, cut(text("a") + FAULT + text("b") + DONE, part_bytes))

        assert out == b"a"
        assert (pump.fault is not None, pump.is_complete) == (True, False)
        assert not pump.fault_was_relayed

    @pytest.mark.parametrize("flood", [b"data:\n\n", b": x\n\n", b"\n", b"retry: 0\n\n"])
    def test_events_of_nothing_are_nothing(self, flood: bytes) -> None:
        """A keep-alive of some proxies (fault G07)."""
        stream = text("a") + flood * 1000 + text("b") + STOP + DONE

        assert pump_through(TextPump(), cut(stream, 997)) == b"ab"

    @pytest.mark.parametrize("part_bytes", [1, 2, 5, 100_000])
    @pytest.mark.parametrize("ascii_only", [True, False])
    def test_characters_survive_any_cut(self, part_bytes: int, *, ascii_only: bool) -> None:
        """The original front end's library made three U+FFFD of one such cut."""
        value: Any = {"choices": [{"index": 0, "delta": {"content": "Grüße 👩‍🚀 世界"}}]}
        packed = json.dumps(value, ensure_ascii=ascii_only).encode()
        stream = b"data: " + packed + b"\n\n" + STOP + DONE

        assert pump_through(TextPump(), cut(stream, part_bytes)).decode() == "Grüße 👩‍🚀 世界"

    def test_a_last_event_without_its_blank_line_counts(self) -> None:
        """Some servers end the body right after it."""
        pump = TextPump()

        assert pump_through(pump, [text("a"), delta(content="b", finish="stop")[:-2]]) == b"ab"
        assert pump.is_complete

    def test_no_comment_of_ours_goes_into_text(self) -> None:
        """The front end would show it."""
        assert TextPump().keep_alive() == b""

    def test_text_in_the_read_of_the_terminator_is_not_shown(self) -> None:
        """Not even when its blank line is missing, so that it is read at the very end."""
        pump = TextPump()

        assert pump_through(pump, [text("a"), DONE + text("b").rstrip()]) == b"a"
        assert pump.is_complete

    def test_text_after_the_terminator_is_not_shown(self) -> None:
        """Every reader of such streams stops at `[DONE]`."""
        pump = TextPump()

        assert pump_through(pump, [text("a"), DONE, text("late"), text("x") + text("y")]) == b"a"
        assert pump.is_complete

    def test_the_terminator_is_noticed_in_the_read_that_ends_the_text(self) -> None:
        """From there on the framing has five seconds, and what follows is not read as text."""
        pump = TextPump()

        assert pump.feed(text("a") + DONE + text("late")) == [b"a"]
        assert (pump.saw_content, pump.saw_end, pump.has_text) == (True, True, True)
        assert (pump.is_unreadable, pump.is_between_events) == (False, False)

    @pytest.mark.parametrize("reads", [[text("a"), DONE, FAULT], [text("a") + DONE + FAULT]])
    def test_an_error_after_the_terminator_takes_the_answer_back(self, reads: list[bytes]) -> None:
        """Complete is what ends with no error event."""
        pump = TextPump()

        assert pump_through(pump, reads) == b"a"
        assert pump.saw_end
        assert not pump.is_complete


reads = st.lists(
    st.sampled_from([*STREAM, FAULT, STOP, text("a"), b"data: {\n\n", b"data:\n\n", b"\r\n"]),
    max_size=10,
)


@pytest.mark.parametrize("make", [TextPump, lambda: OpenAIPump(wants_usage=False)])
@given(reads, st.lists(st.integers(0, 500), max_size=8))
def test_how_reads_are_cut_changes_nothing(make, events: list[bytes], places: list[int]) -> None:
    """TCP cuts as it likes, and the fast path likes whole events."""
    stream = b"".join(events)
    edges = sorted({0, len(stream), *(place for place in places if place < len(stream))})
    cut_up = [stream[a:b] for a, b in itertools.pairwise(edges)]
    whole, event_wise, cut_wise = make(), make(), make()

    outs = {
        pump_through(whole, [stream] if stream else []),
        pump_through(event_wise, events),
        pump_through(cut_wise, cut_up),
    }

    assert len(outs) == 1
    seen = ("is_complete", "fault", "usage", "content_events", "has_content", "is_unreadable")
    facts = [[getattr(pump, name) for name in seen] for pump in (whole, event_wise, cut_wise)]
    assert facts[0] == facts[1] == facts[2]
