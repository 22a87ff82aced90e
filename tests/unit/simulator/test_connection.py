"""Requests on a connection: one after the other, in pieces, and broken ones."""

import pytest


async def test_pipelined_requests_are_answered_in_order(peer, simulator, make_request):
    """A thousand of them must not nest either."""
    kept = make_request(b'{"simulate":{"body":"abc"}}', headers=())

    heard = await peer.send(kept * 1500 + make_request(b'{"simulate":{"body":"end"}}'))

    assert heard.raw.count(b"HTTP/1.1 200 OK") == 1501
    assert heard.raw.endswith(b"end")
    assert simulator.journal.count == 1501


async def test_a_request_may_come_byte_by_byte(peer, simulator, make_request):
    """Clients write their bodies as they please."""
    request = make_request(b'{"simulate":{"body":"abc"}}')
    reader, writer = await peer.connect(request[:1])
    for place in range(1, len(request)):
        writer.write(request[place : place + 1])
        await writer.drain()
    heard = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert heard.endswith(b"abc")
    assert simulator.journal.last.body == b'{"simulate":{"body":"abc"}}'


async def test_a_body_is_called_for_when_the_client_waits(peer, make_request):
    """Curl sends `Expect` with larger bodies, and would wait for a second."""
    headers = ("Connection: close", "Expect: 100-continue")

    heard = await peer.send(make_request(b'{"simulate":{"body":"abc"}}', headers=headers))

    assert heard.raw.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_the_offer_of_another_protocol_is_declined(peer, simulator, make_request, method):
    """Java's client and `curl --http2` offer HTTP/2 with the first request of a connection."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    body, path = b'{"simulate":{"body":"abc"}}', "/v1/chat/completions"
    if method == "GET":
        body, path = b"", "/v1/models/demo"
    offered = make_request(body, method=method, path=path, headers=(*offer, "Expect: 100-continue"))
    last = make_request(b'{"simulate":{"body":"end"}}')

    heard = await peer.send(offered + last)

    assert heard.raw.count(b"HTTP/1.1 100 Continue") == 1
    assert heard.raw.count(b"HTTP/1.1 200 OK") == 2
    assert heard.raw.endswith(b"end")
    first, _ = simulator.journal
    assert (first.body, first.header("upgrade")) == (body, "h2c")


async def test_a_thousand_offers_in_one_read_do_not_nest(peer, simulator, make_request):
    """Each is read once more, which must not be done from within the one before."""
    offer = ("Connection: Upgrade", "Upgrade: h2c")
    offered = make_request(b"", method="GET", path="/v1/models/demo", headers=offer)

    heard = await peer.send(offered * 1500 + make_request(b'{"simulate":{"body":"end"}}'))

    assert heard.raw.count(b"HTTP/1.1 200 OK") == 1501
    assert heard.raw.endswith(b"end")
    assert simulator.journal.count == 1501


async def test_no_tunnel_is_opened(peer):
    """There is nothing to be reached through it."""
    heard = await peer.send(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n")

    assert heard.status == 400


async def test_what_is_not_http_gets_a_400(peer):
    """And the connection ends."""
    heard = await peer.send(b"\x16\x03\x01 hello\r\n\r\n")

    assert heard.status == 400


async def test_an_old_client_gets_a_body_until_eof(peer, simulator, make_request):
    """The default of nginx is HTTP/1.0."""
    body = b'{"stream":true,"simulate":{"text":"Hi"}}'

    heard = await peer.send(make_request(body, version="1.0", headers=()))

    assert "transfer-encoding" not in heard.head.lower()
    assert heard.body.endswith(b"data: [DONE]\n\n")
    assert simulator.journal.last.finished


async def test_a_head_request_gets_no_body(peer, make_request):
    """Its length is told, and the connection can go on."""
    head = make_request(method="HEAD", path="/v1/models", headers=())

    heard = await peer.send(head + make_request(method="GET", path="/v1/models"))

    assert heard.raw.count(b"HTTP/1.1 200 OK") == 2
    assert heard.framed.startswith(b"HTTP/1.1 200 OK")
