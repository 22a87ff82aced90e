"""Requests on a connection: one after the other, in pieces, and broken ones."""


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
