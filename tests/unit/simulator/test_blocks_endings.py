"""The blocks of a directive that end an answer: cuts, stalls and errors, on a real socket."""

import asyncio

import pytest


async def test_a_cut_at_each_place_ends_early(ask, simulator):
    """Each place is another failure in the eyes of a client."""
    whole = await ask({"count": 5})
    for place in ("before_head", "in_head", "after_head", "in_event", "after_tokens"):
        heard = await ask({"count": 5, "cut": {"at": place, "after_tokens": 2}})

        served = simulator.journal.last
        assert (served.cut, served.finished) == (True, False)
        assert len(heard.raw) < len(whole.raw)
        assert b"word2" not in heard.raw
        assert served.content_tokens_sent == (2 if place in ("in_event", "after_tokens") else 0)


async def test_places_of_a_cut_are_what_they_say(ask):
    """A test of one failure must not meet its neighbour."""
    silent = await ask({"cut": {"at": "before_head"}})
    halved = await ask({"cut": {"at": "in_head"}})
    bodiless = await ask({"cut": {"at": "after_head"}})
    inside = await ask({"count": 3, "cut": {"at": "in_event", "after_tokens": 1}})
    between = await ask({"count": 3, "cut": {"at": "after_tokens", "after_tokens": 1}})

    assert silent.raw == b""
    assert b"\r\n\r\n" not in halved.raw
    assert halved.raw.startswith(b"HTTP/1.1 200")
    assert bodiless.raw.endswith(b"\r\n\r\n")
    assert bodiless.framed == b""
    assert not inside.body.endswith(b"\n\n")
    assert between.body.endswith(b"\n\n")
    assert between.text == " word0"


async def test_a_cut_after_the_finish_leaves_out_the_terminator(ask):
    """All text has come, yet nobody said that it is all."""
    finished = await ask({"count": 2, "cut": {"at": "after_finish"}})
    unframed = await ask({"count": 2, "cut": {"at": "before_last_chunk"}})

    assert finished.events[-1]["choices"][0]["finish_reason"] == "stop"
    assert unframed.events[-1] == "[DONE]"
    assert not unframed.framed.endswith(b"0\r\n\r\n")


async def test_a_document_is_cut_inside(ask):
    """A Content-Length that is not reached tells a cut."""
    heard = await ask({"cut": {"at": "in_event"}}, stream=False)

    length = int(heard.head.partition("Content-Length: ")[2].partition("\r\n")[0])
    assert len(heard.body) == length // 2


async def test_a_cut_can_be_a_reset(ask):
    """A reset is an error at once, where a close is an end."""
    heard = await ask({"count": 3, "cut": {"after_tokens": 1, "by": "rst"}})

    assert heard.was_reset


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ("before_head", b""),
        ("in_head", b"HTTP/1.1 200 OK"),
        ("after_head", b"\r\n\r\n"),
        ("after_tokens", b"word1"),
        ("in_event", b"word1"),
    ],
)
async def test_a_stall_lasts_until_the_peer_leaves(peer, place, seen):
    """Only the peer's deadline ends it, and the journal knows when."""
    served = await peer.ask_and_leave(
        {"count": 9, "stall": {"at": place, "after_tokens": 2}}, after=seen
    )

    assert served.peer_left_s >= served.received_s
    assert (served.finished, served.cut) == (False, False)
    assert served.done.is_set()


async def test_a_stall_can_comment(peer):
    """Comments keep a connection alive that brings nothing."""
    served = await peer.ask_and_leave(
        {"count": 9, "stall": {"after_tokens": 1, "comment": " ping", "every_s": 0.001}},
        after=b": ping\n\n\r\n8\r\n: ping\n\n",
    )

    assert served.content_tokens_sent == 1


@pytest.mark.parametrize(
    "place", ["before_head", "in_head", "after_head", "in_event", "after_tokens"]
)
async def test_a_stall_can_end(ask, place, simulator):
    """A pause shorter than the deadline does no harm."""
    stall = {"at": place, "after_tokens": 1, "for_s": 0.01, "comment": " ping", "every_s": 0.004}

    heard = await ask({"count": 3, "stall": stall})

    served = simulator.journal.last
    assert heard.text == " word0 word1 word2"
    assert served.finished
    assert served.done_s - served.received_s >= 0.01


@pytest.mark.parametrize(
    ("shape", "is_typed", "has_done"),
    [
        ("openai", False, False),
        ("groq", True, False),
        ("openrouter", False, True),
        ("openrouter_documented", False, False),
    ],
)
async def test_an_error_in_the_stream_has_its_providers_shape(ask, shape, is_typed, has_done):
    """Only the top-level `error` is the same everywhere."""
    heard = await ask({"count": 9, "stream_error": {"shape": shape, "after_tokens": 2}})

    error = heard.events[-2 if has_done else -1]
    assert error["error"]["message"] == "The model stopped unexpectedly."
    assert (b"event: error\n" in heard.body) == is_typed
    assert (heard.events[-1] == "[DONE]") == has_done
    assert heard.text == " word0 word1"


async def test_ollamas_error_says_nothing(ask, simulator):
    """It is an empty chunk, and a clean end without a word."""
    heard = await ask({"count": 9, "stream_error": {"shape": "ollama", "after_tokens": 2}})

    assert "error" not in heard.events[-1]
    assert heard.framed.endswith(b"0\r\n\r\n")
    assert simulator.journal.last.finished


async def test_two_peers_do_not_wait_for_each_other(peer, simulator):
    """A stalled answer must not hold up the answer of a bystander."""
    stalled = asyncio.ensure_future(peer.ask("stall"))
    await simulator.journal.wait_for_count(1)

    heard = await peer.ask({"text": "Hi"})
    simulator.drop_connections()
    await stalled

    assert heard.text == "Hi"
