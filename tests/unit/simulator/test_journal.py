"""The journal: what was asked, what was sent, and when the peer left."""

import json

import pytest

from gateway.simulator import Simulator


async def test_a_record_holds_the_request_as_it_came(peer, simulator, make_request):
    """Tests of what a gateway sends read it here."""
    body = json.dumps({"messages": [], "simulate": {"text": "Hi"}}).encode()
    headers = ("Connection: close", "X-Two: a", "x-two: b")

    await peer.send(make_request(body, path="/v1/chat/completions?x=1", headers=headers))

    served = simulator.journal.last
    assert (served.method, served.path) == ("POST", "/v1/chat/completions?x=1")
    assert served.body == body
    assert [value for name, value in served.headers if name.lower() == "x-two"] == ["a", "b"]
    assert served.header("x-two") == "a"


async def test_a_record_holds_what_was_sent(ask, simulator):
    """The ledger of a gateway is compared with these numbers."""
    heard = await ask({"count": 7, "usage": "own"})

    served = simulator.journal.last
    assert (served.status, served.content_tokens_sent) == (200, 7)
    assert served.body_sent == heard.body
    assert served.body_bytes_sent == len(heard.body)
    assert (served.finished, served.cut, served.peer_left_s) == (True, False, None)


async def test_a_record_holds_when_the_peer_left(peer, simulator):
    """A gateway must leave within 100 ms of its client."""
    served = await peer.ask_and_leave({"count": 50, "gap_s": 0.01}, after=b"word1")

    assert served.peer_left_s >= served.received_s
    assert 0 < served.content_tokens_sent < 50
    assert not served.finished
    assert simulator.journal.open == 0


async def test_connections_and_requests_are_numbered(peer, simulator, make_request):
    """Reuse of connections is seen in these numbers."""
    body = b'{"simulate":{"body":"abc"}}'
    kept = make_request(body, headers=())

    await peer.send(kept + make_request(body))
    await peer.send(make_request(body))

    numbers = [(s.connection_number, s.request_number) for s in simulator.journal]
    assert numbers == [(1, 1), (1, 2), (2, 1)]
    assert simulator.connections_opened == 2


async def test_waiting_ends_when_a_record_fits(ask, simulator):
    """A test waits for a fact, not for a time."""
    await ask({"count": 3})

    served = await simulator.journal.wait_for(lambda s: s.content_tokens_sent == 3)

    assert served is simulator.journal[0]


async def test_waiting_in_vain_is_an_error(simulator):
    """A test that waits for ever says nothing."""
    with pytest.raises(TimeoutError):
        await simulator.journal.wait_for(lambda _: True, timeout_s=0.001)


async def test_old_records_are_forgotten_but_counted(peer):
    """A simulator inside a gateway runs for months."""
    async with Simulator(journal_limit=2) as small:
        peer.simulator = small
        for _ in range(3):
            await peer.ask({"text": "Hi"})

    assert (len(small.journal), small.journal.count) == (2, 3)


async def test_reset_forgets_records_and_scripts(ask, simulator):
    """One simulator can serve many tests."""
    simulator.script("server-error")
    await ask({"text": "Hi"})

    simulator.reset()

    assert len(simulator.journal) == 0
    assert (await ask(stream=False, max_tokens=1)).status == 200
