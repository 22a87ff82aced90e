"""Which directive a request gets."""

import json

import pytest

from gateway.simulator.choosing import Chooser, read_directive


async def test_a_header_beats_the_body_and_the_body_beats_the_model(peer, make_request):
    """A fixed order, so that nobody has to guess."""
    body = {"model": 'sim:{"body":"model"}', "messages": []}
    with_field = {**body, "simulate": {"body": "field"}}
    headers = ("Connection: close", 'X-Simulate: {"body":"header"}')

    by_model = await peer.send(make_request(json.dumps(body).encode()))
    by_field = await peer.send(make_request(json.dumps(with_field).encode()))
    by_header = await peer.send(make_request(json.dumps(with_field).encode(), headers=headers))

    assert [h.body for h in (by_model, by_field, by_header)] == [b"model", b"field", b"header"]


async def test_a_directive_in_a_header_is_utf_8(peer, simulator):
    """As a shell sends it: `-H 'x-simulate: {"text":"Grüße"}'` came back garbled."""
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: a", "Connection: close"]
    lines += ["Content-Length: 2", 'X-Simulate: {"text":"Grüße"}', "", "{}"]

    await peer.send("\r\n".join(lines).encode())

    assert "Grüße".encode() in simulator.journal.last.body_sent


async def test_a_preset_is_named_by_header_field_or_model(peer, ask, make_request):
    """A model's name is all that some clients can set."""
    headers = ("Connection: close", "X-Simulate: server-error")

    by_model = await ask(model="server-error")
    by_prefix = await ask(model="sim:server-error")
    by_field = await ask("server-error")
    by_header = await peer.send(make_request(b"{}", headers=headers))

    assert [h.status for h in (by_model, by_prefix, by_field, by_header)] == [500] * 4


async def test_scripted_directives_are_taken_in_order(ask, simulator):
    """Tests script what the code under test cannot ask for itself."""
    simulator.script({"error": {"status": 503}, "times": 2, "then": [{"text": "Hi"}]})
    simulator.script("not-found")

    statuses = [(await ask()).status for _ in range(4)]

    assert statuses == [503, 503, 200, 404]


async def test_a_request_with_a_directive_leaves_the_script_alone(ask, simulator):
    """Two tests' requests may meet at one simulator."""
    simulator.script("server-error")

    own = await ask({"text": "Hi"})
    scripted = await ask()

    assert (own.status, scripted.status) == (200, 500)


async def test_a_script_waits_for_its_path(peer, ask, simulator, make_request):
    """A probe of the models must not eat the directive of a chat."""
    simulator.script({"error": {"status": 500}, "path": "/models"})
    simulator.script("not-found")

    chat = await ask()
    models = await peer.send(make_request(method="GET", path="/v1/models?limit=5"))

    assert (chat.status, models.status) == (404, 500)


async def test_a_carried_sequence_moves_on_with_each_request(ask):
    """Retries repeat a request byte for byte, so the sequence is told by its text."""
    wish = {"error": {"status": 503}, "times": 2, "then": [{"error": {"status": 429}}, "plain"]}
    wish["then"][1] = {"preset": "plain"}

    statuses = [(await ask(wish)).status for _ in range(5)]
    other = await ask({**wish, "name": "another"})

    assert statuses == [503, 503, 429, 200, 200]
    assert other.status == 503


async def test_a_bad_directive_is_a_400_that_says_why(ask):
    """A typo in a directive must show itself at once."""
    heard = await ask({"gap": 1})

    assert heard.status == 400
    assert heard.json["error"]["code"] == "bad_directive"
    assert "gap" in heard.json["error"]["message"]


async def test_a_directive_without_a_bottom_is_a_400_like_any_other(ask):
    """Not a connection that ends without a word."""
    heard = await ask(model="sim:" + '{"chunk_extra":' * 50_000)

    assert heard.status == 400
    assert "too deep" in heard.json["error"]["message"]


def test_equal_texts_are_read_once():
    """Under load a directive is read as often as it is sent."""
    assert read_directive('{"count": 3}') is read_directive('{"count": 3}')


@pytest.mark.parametrize("wish", [{"then": [{"preset": "nothing"}]}, {"then": "soon"}])
def test_mistakes_in_a_sequence_are_found_at_once(wish):
    """Not when its turn comes."""
    with pytest.raises(ValueError, match=r"directive|preset"):
        Chooser().script(wish)
