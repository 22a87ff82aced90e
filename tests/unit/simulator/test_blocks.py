"""The blocks of a directive: every place where the wire is spoiled, on a real socket."""

import gzip
import json

import pytest


async def test_lines_end_as_asked(ask):
    """All three line ends are allowed in an event stream."""
    for name, end in (("lf", b"\n\n"), ("crlf", b"\r\n\r\n"), ("cr", b"\r\r")):
        heard = await ask({"sse": {"line_end": name}, "text": "Hi"})

        assert heard.body.endswith(b"data: [DONE]" + end)


async def test_event_lines_come_before_or_after_the_data(ask):
    """Bedrock writes its data line first."""
    before = await ask({"sse": {"event_line": "chunk"}, "text": "Hi"})
    after = await ask({"sse": {"event_line": "chunk", "data_first": True}, "text": "Hi"})

    assert before.body.startswith(b"event: chunk\ndata: {")
    assert after.body.endswith(b"data: [DONE]\nevent: chunk\n\n")


async def test_an_event_line_can_name_the_payloads_type(ask):
    """Anthropic's native events repeat their type in the event line."""
    heard = await ask({"sse": {"event_line": "{type}"}, "events": [{"type": "ping"}]})

    assert heard.body.startswith(b'event: ping\ndata: {"type":"ping"}\n\n')


async def test_spaces_go_where_they_are_asked_for(ask):
    """Readers differ on the space after the colon and on trailing ones."""
    events = {"events": [{"a": 1}], "done": "never"}

    tight = await ask({**events, "sse": {"space_after_colon": False, "trailing_spaces": 2}})
    padded = await ask({**events, "sse": {"padding": 3, "id_lines": True}})

    assert tight.body == b'data:{"a":1}  \n\n'
    assert padded.body == b'data: {"a":1   }\nid: 0\n\n'


async def test_a_body_can_begin_with_blanks_or_a_mark(ask):
    """DeepSeek sends blank lines before a JSON body while it waits."""
    document = await ask({"sse": {"leading_blank_lines": 3}}, stream=False)
    stream = await ask({"sse": {"byte_order_mark": True}})

    assert document.body.startswith(b"\n\n\n{")
    assert f"Content-Length: {len(document.body)}" in document.head
    assert stream.body.startswith(b"\xef\xbb\xbfdata:")


async def test_text_is_utf_8_or_escaped(ask):
    """Groq escapes; others do not."""
    plain = await ask({"text": "Grüße"})
    escaped = await ask({"text": "Grüße", "sse": {"ascii_only": True}})

    assert "Grüße".encode() in plain.body
    assert b"Gr\\u00fc\\u00dfe" in escaped.body


async def test_comments_come_before_and_between_events(ask):
    """OpenRouter sends up to 30 of them in one answer."""
    heard = await ask({"count": 3, "comments": {"text": " hi", "before": 2, "every": 2}})

    assert heard.body.startswith(b": hi\n\n: hi\n\ndata:")
    assert heard.body.count(b": hi\n\n") == 4
    assert heard.text == " word0 word1 word2"


async def test_the_body_is_cut_into_http_chunks_of_a_size(ask):
    """A client must not take an HTTP chunk for an event."""
    heard = await ask({"text": "Hi", "writes": {"body_bytes": 7}})

    assert max(len(line) for line in _chunks(heard)) == 7
    assert heard.text == "Hi"


async def test_characters_are_cut_in_two(ask):
    """Decoding each chunk by itself breaks text here."""
    heard = await ask({"tokens": ["é世"], "writes": {"in_utf8": True}})

    assert "é".encode()[:1] in {chunk[-1:] for chunk in _chunks(heard)}
    assert heard.text == "é世"


async def test_events_are_joined_into_one_write(ask, simulator):
    """A fast provider's events arrive together."""
    heard = await ask({"count": 10, "writes": {"events_per_write": 100}})

    assert len(_chunks(heard)) == 1
    assert len(simulator.journal.last.plan.writes) == 2
    assert simulator.journal.last.content_tokens_sent == 10


async def test_the_body_is_cut_at_given_offsets(ask):
    """Recorded streams are replayed in random cuts."""
    heard = await ask({"body": "data: one\n\ndata: two\n\n", "writes": {"at": [3, 12]}})

    assert _chunks(heard) == [b"dat", b"a: one\n\nd", b"ata: two\n\n"]


async def test_everything_is_sent_byte_by_byte(ask, simulator):
    """Status lines and chunk sizes arrive in pieces too."""
    heard = await ask({"text": "Hi", "writes": {"wire_bytes": 1}})

    assert all(len(write.wire) == 1 for write in simulator.journal.last.plan.writes)
    assert heard.text == "Hi"
    assert simulator.journal.last.body_bytes_sent == len(heard.body)


async def test_a_drip_waits_between_pieces(ask, simulator):
    """A deadline on reads alone never ends a drip."""
    await ask({"error": {"shape": "text"}, "writes": {"wire_bytes": 50, "drip_s": 0.001}})

    waits = [write.delay_s for write in simulator.journal.last.plan.writes]
    assert waits[0] == 0
    assert set(waits[1:]) == {0.001}


@pytest.mark.parametrize("framing", ["chunked", "length", "eof"])
async def test_the_end_is_told_in_each_way(ask, framing):
    """Each framing has its own way to be cut short."""
    for stream in (True, False):
        heard = await ask({"text": "Hi", "http": {"framing": framing}}, stream=stream)

        head = heard.head.lower()
        assert ("transfer-encoding: chunked" in head) == (framing == "chunked")
        assert ("content-length:" in head) == (framing == "length")
        assert b"Hi" in heard.body


@pytest.mark.parametrize(
    ("framing", "sign"),
    [
        ("two_lengths", "Content-Length: 3\r\nContent-Length: 4"),
        ("length_and_chunked", "Content-Length: 3\r\nTransfer-Encoding: chunked"),
        ("unknown_coding", "Transfer-Encoding: gzip, chunked"),
    ],
)
async def test_the_framing_contradicts_itself(ask, framing, sign):
    """What smuggles requests past one parser is refused by ours."""
    heard = await ask({"body": "abc", "http": {"framing": framing}})

    assert sign in heard.head


async def test_a_chunk_size_can_be_bad(ask, simulator):
    """It is a broken message, not an end."""
    heard = await ask({"body": "abc", "http": {"framing": "bad_chunk"}})

    assert heard.framed == b"3\r\nabc\r\nzz\r\n"
    assert simulator.journal.last.cut


async def test_heads_can_be_strange(ask):
    """Header floods, giant headers and garbage each have their own limit in a client."""
    heard = await ask(
        {
            "http": {
                "status_line": "ICY 200 OK",
                "filler_headers": 3,
                "giant_header_bytes": 9000,
                "headers": [["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]],
                "content_type": "text/html",
            }
        }
    )

    assert heard.head.startswith("ICY 200 OK\r\n")
    assert "X-Filler-2: filler" in heard.head
    assert "X-Giant: " + "g" * 9000 in heard.head
    assert "Set-Cookie: a=1\r\nSet-Cookie: b=2" in heard.head
    assert "Content-Type: text/html" in heard.head


async def test_a_content_type_can_be_left_out(ask):
    """Some servers send none."""
    heard = await ask({"http": {"content_type": ""}})

    assert "content-type" not in heard.head.lower()


async def test_interim_responses_come_first(ask):
    """A client that takes 103 for the answer loses the answer."""
    hints = await ask({"body": "abc", "http": {"interim": 2}})
    switching = await ask({"body": "abc", "http": {"interim": 1, "interim_status": 101}})

    assert hints.raw.count(b"HTTP/1.1 103 Early Hints\r\n") == 2
    assert hints.raw.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert switching.raw.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")


async def test_bytes_and_trailers_follow_the_end(ask):
    """Late bytes on a kept connection would be read as the next answer."""
    heard = await ask(
        {"body": "abc", "http": {"trailers": [["X-Sum", "1"]], "after_end": "HTTP/1.1 bad"}}
    )

    assert heard.framed == b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\nHTTP/1.1 bad"


async def test_the_connection_is_kept_closed_or_dropped(peer, make_request):
    """A pooled connection that died unannounced is the one case for a silent retry."""
    body = json.dumps({"simulate": {"body": "abc", "http": {"connection": "drop"}}}).encode()

    dropped = await peer.send(make_request(body, headers=()))
    closed = await peer.send(make_request(body.replace(b"drop", b"close"), headers=()))

    assert "connection" not in dropped.head.lower()
    assert "Connection: close" in closed.head
    assert dropped.body == closed.body == b"abc"


async def test_gzip_comes_unasked(ask):
    """A body we did not want compressed must not pass for text."""
    stream = await ask({"text": "Hi", "http": {"gzip": True}})
    document = await ask({"text": "Hi", "http": {"gzip": True}}, stream=False)

    assert "Content-Encoding: gzip" in stream.head
    assert gzip.decompress(stream.body).endswith(b"data: [DONE]\n\n")
    assert json.loads(gzip.decompress(document.body))["object"] == "chat.completion"


async def test_a_gzip_bomb_is_small_on_the_wire(ask):
    """A few KiB become MiB in whoever decodes them."""
    heard = await ask({"http": {"gzip_bomb_mib": 4}}, stream=False)

    assert len(heard.body) < 8192
    assert len(gzip.decompress(heard.body)) == 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        ("invalid_utf8", b"\xff\xfe"),
        ("invalid_json", b'"index":0,\n\n'),
        ("empty_events", b"data:\n\ndata:\n\n"),
        ("comments", b": flood\n\n: flood\n\n"),
        ("retry_lines", b"retry: 0\n\n"),
        ("blank_lines", b"\n\n\n\n"),
    ],
)
async def test_junk_sits_between_the_events(ask, kind, sign):
    """None of it may stop a reader or cost it much."""
    heard = await ask({"count": 2, "junk": {"kind": kind, "count": 2, "after_tokens": 1}})

    first, _, second = heard.body.partition(sign)
    assert b"word0" in first
    assert b"word1" in second


async def test_a_giant_line_has_no_end_for_long(ask):
    """A reader that waits for a newline buffers all of it."""
    heard = await ask({"text": "Hi", "junk": {"kind": "giant_line", "mib": 2}})

    assert max(len(line) for line in heard.body.split(b"\n")) == 2 * 1024 * 1024 + 6


async def test_tool_calls_come_whole_or_in_pieces(ask):
    """Merging by overwriting loses ids that are repeated empty."""
    whole = await ask({"tool_calls": [{"has_index": False, "has_type": False}]})
    pieces = await ask({"tool_calls": [{"pieces": 4, "later_id": "", "later_name": ""}]})

    call = whole.events[1]["choices"][0]["delta"]["tool_calls"][0]
    parts = [event["choices"][0]["delta"]["tool_calls"][0] for event in pieces.events[1:5]]
    assert sorted(call) == ["function", "id"]
    assert "".join(part["function"]["arguments"] for part in parts) == '{"city":"Paris"}'
    assert [part["id"] for part in parts] == ["call_sim1", "", "", ""]
    assert [part["function"]["name"] for part in parts] == ["get_weather", "", "", ""]


def _chunks(heard):
    found, rest = [], heard.framed
    while not rest.startswith(b"0\r\n"):
        size, _, rest = rest.partition(b"\r\n")
        found.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return found
