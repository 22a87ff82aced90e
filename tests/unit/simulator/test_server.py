"""The simulator as a whole: both loops, TLS, credentials, load, and going away."""

import asyncio
import json
import ssl

import aiohttp
import pytest
import trustme
import uvloop

from gateway.simulator import Simulator, serve

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=sorted(LOOPS))
def run(request):
    """Run a coroutine on either loop."""
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield runner.run


def test_a_stream_is_read_whole_on_both_loops(run):
    """Everything is built on either loop, so both must carry it."""

    async def read():
        async with Simulator() as simulator:
            text = await _read_text(simulator, {"count": 50, "gap_s": 0.0001})
            return text, simulator.journal.last.finished

    assert run(read()) == ("".join(f" word{i}" for i in range(50)), True)


def test_a_reset_is_seen_on_both_loops(run):
    """The two loops hide their sockets in different ways."""

    async def read():
        async with Simulator() as simulator:
            with pytest.raises(aiohttp.ClientError):
                await _read_text(simulator, "reset")
            return simulator.journal.last.cut

    assert run(read())


def test_a_peer_that_leaves_is_seen_on_both_loops(run):
    """Also while the simulator has nothing to write."""

    async def read():
        async with Simulator() as simulator, aiohttp.ClientSession() as session:
            async with _post(session, simulator, "stall") as response:
                await response.content.readuntil(b"\n\n")
                served = simulator.journal.last
            await asyncio.wait_for(served.peer_left.wait(), 10)
            return served.finished

    assert run(read()) is False


def test_tls_is_spoken_on_both_loops(run):
    """Providers are reached over TLS."""
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)

    async def read():
        async with Simulator(ssl_context=theirs) as simulator:
            assert simulator.base_url.startswith("https://127.0.0.1:")
            return await _read_text(simulator, {"text": "Hi there"}, ssl_context=ours)

    assert run(read()) == "Hi there"


def test_a_slow_reader_does_not_fill_our_memory(run):
    """An answer of any size is held back until its reader takes it."""

    async def read():
        async with Simulator() as simulator, aiohttp.ClientSession() as session:
            wish = {"json_bytes": 64 * 1024 * 1024}
            async with _post(session, simulator, wish, stream=False) as response:
                sent_unread = simulator.journal.last.body_bytes_sent
                body = await response.read()
            return sent_unread, len(body)

    sent_unread, size = run(read())
    assert sent_unread < 32 * 1024 * 1024
    assert size == 64 * 1024 * 1024


async def test_precomputed_answers_are_made_once(simulator, peer):
    """Under load the simulator must cost less than what it measures."""
    simulator.script({"preset": "bench", "gap_s": 0, "times": 2})

    first, second = [await peer.ask() for _ in range(2)]

    assert first.raw == second.raw
    assert simulator.journal[0].plan is simulator.journal[1].plan
    assert simulator.journal.last.content_tokens_sent == 100


async def test_the_benchs_chunks_have_the_size_of_real_ones(ask, simulator):
    """Small chunks flatter a relay."""
    await ask({"preset": "bench", "gap_s": 0})

    sizes = [len(write.body) for write in simulator.journal.last.plan.writes if write.tokens]
    assert len(sizes) == 100
    assert all(225 <= size <= 275 for size in sizes)


async def test_the_benchs_document_is_half_a_kilobyte_in_one_write(ask, simulator):
    """Two writes would measure the kernel."""
    heard = await ask("bench-json")

    assert len(heard.body) == 512
    assert len(simulator.journal.last.plan.writes) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Authorization: Bearer sk-right",), 200),
        (("api-key: sk-right",), 200),
        (("Authorization: Bearer sk-wrong-and-long",), 401),
        (("Authorization: Basic sk-right",), 401),
        ((), 401),
    ],
)
async def test_a_wrong_credential_is_refused_as_openai_does(make_request, headers, status, peer):
    """A gateway must tell a rejected credential from a rejected caller."""
    async with Simulator(credential="sk-right") as strict:
        peer.simulator = strict
        body = b'{"messages":[],"simulate":{"body":"{}"}}'
        heard = await peer.send(make_request(body, headers=("Connection: close", *headers)))

    assert heard.status == status
    assert b"sk-wrong-and-long" not in heard.body
    if status == 401:
        assert heard.json["error"]["type"] == "invalid_request_error"


async def test_a_simulator_can_be_told_to_obey_nobody(peer):
    """The demo provider of a public gateway must not be scripted by its callers."""
    async with Simulator(scriptable=False) as deaf:
        peer.simulator = deaf
        heard = await peer.ask({"error": {"status": 500}}, stream=False, max_tokens=3)

    assert heard.status == 200


async def test_stopping_closes_what_is_open(simulator, peer):
    """A stalled stream must not hold up the end of a test."""
    task = asyncio.ensure_future(peer.ask("stall"))
    await simulator.journal.wait_for_count(1)

    await simulator.stop()
    await task

    served = simulator.journal.last
    assert served.done.is_set()
    assert served.peer_left_s is None
    assert simulator.open_connections == 0


async def test_serve_runs_until_it_is_cancelled():
    """The command line needs an address to print, and Ctrl-C."""
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(serve(port=0, when_ready=ready.set_result))

    simulator = await ready
    text = await _read_text(simulator, {"text": "Hi"})
    task.cancel()
    await asyncio.wait([task])

    assert text == "Hi"
    assert task.cancelled()
    assert simulator.open_connections == 0


async def test_an_unstarted_simulator_has_no_address():
    """A port of 0 would send a test to nowhere."""
    with pytest.raises(RuntimeError, match="not started"):
        _ = Simulator().base_url


def _post(session, simulator, wish, *, stream=True, ssl_context=None):
    body = {"model": "m", "stream": stream, "messages": [], "simulate": wish}
    url = f"{simulator.base_url}/chat/completions"
    return session.post(url, json=body, ssl=ssl_context or True)


async def _read_text(simulator, wish, *, ssl_context=None):
    async with (
        aiohttp.ClientSession() as session,
        _post(session, simulator, wish, ssl_context=ssl_context) as response,
    ):
        body = await response.read()
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n") if line]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


def test_a_credential_is_answered_as_was_said_whatever_the_request_says(run):
    """A revoked or limited credential among others that work."""

    async def read():
        async with Simulator() as simulator, aiohttp.ClientSession() as session:
            simulator.answer_credential("sk-bad", {"error": {"status": 401}})
            statuses = [
                await _status(session, simulator, credential)
                for credential in ("sk-bad", "sk-good")
            ]
            headers = {"Authorization": "Bearer sk-bad"}
            async with session.get(f"{simulator.base_url}/models", headers=headers) as response:
                statuses.append(response.status)
            simulator.answer_credential("sk-bad", None)
            return [*statuses, await _status(session, simulator, "sk-bad")]

    assert run(read()) == [401, 200, 401, 200]


async def _status(session, simulator, credential):
    headers = {"Authorization": f"Bearer {credential}"}
    body = {"model": "plain", "messages": []}
    url = f"{simulator.base_url}/chat/completions"
    async with session.post(url, json=body, headers=headers) as response:
        return response.status
