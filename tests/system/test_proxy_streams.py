"""Streams through each reverse proxy with the configuration that ships.

The rule here: the provider takes no step before the last one has arrived, so no clock is needed to
prove that nothing was held back.
"""

import pytest

from tests.plugins.proxies.row import BELOW, CHAT, STREAMING, V1, OpenRow, Row, only_linux
from tests.plugins.raw_caller import Heard
from tests.plugins.stepped_provider import DONE, END, ROLE, event_of

WORDS = ("One", " two", " three")
LEFT_S = 2.0  # until a provider must know that its caller's caller is gone

pytestmark = [
    only_linux(),
    pytest.mark.parametrize("proxy", STREAMING, ids=lambda kind: kind.name, indirect=True),
]


def expected_of(path: str, word: str) -> bytes:
    """What a caller gets of a word."""
    return event_of(content=word) if path == V1 else word.encode()


async def outcome_of(row: Row, number: int) -> object:
    """How the exchange of that number ended, once it has."""
    return (await row.gateway.log.wait_for_settled(number))[number - 1]["outcome"]


async def test_each_piece_arrives_before_the_next_is_sent(row: Row) -> None:
    """G14: a stream that is collected or compressed on its way comes all at once."""
    ways = [(path, below) for path in (V1, CHAT) for below in ("", BELOW)]
    for number, (path, below) in enumerate(ways, 1):
        async with row.call(below) as caller:
            await row.ask(caller, path, below)
            await row.provider.open_stream()
            await row.provider.send(ROLE)
            for word in WORDS:
                await row.provider.send(event_of(content=word))
                read = await caller.read_until(expected_of(path, word))
                if word == WORDS[0]:
                    head = read.lower()
            await row.provider.send(DONE)
            await row.provider.send_raw(END)
            rest = await caller.read_to_end()

        assert head.startswith(b"http/1.1 200 ok\r\n")
        assert b"transfer-encoding: chunked\r\n" in head
        assert b"content-encoding" not in head
        assert (ROLE.lower() in head) == (path == V1)
        assert rest.raw.endswith(b"\r\n0\r\n\r\n")
        assert await outcome_of(row, number) == "finished"


async def test_nothing_is_sent_before_the_first_content(row: Row) -> None:
    """A head that is held can still become an error that the caller can read."""
    for path in (V1, CHAT):
        async with row.call() as caller:
            await row.ask(caller, path)
            await row.provider.open_stream()
            await row.provider.send(b": waiting\n\n")
            await row.provider.send(ROLE)
            await row.provider.cut()
            heard = await caller.read_to_end()

        assert heard.status == 502
        assert heard.json["error"]["code"] == "upstream_cut"
        assert heard.body.endswith(b"}")


async def test_a_cut_stream_stays_cut(row: Row) -> None:
    """A clean end of the proxy's own making would turn half an answer into a whole one."""
    for number, path in enumerate((V1, CHAT), 1):
        async with row.call() as caller:
            await row.ask(caller, path)
            await row.provider.open_stream()
            await row.provider.send(event_of(content=WORDS[0]))
            await caller.read_until(expected_of(path, WORDS[0]))
            await row.provider.cut()
            rest = await caller.read_to_end()

        assert rest.raw.endswith(b"0\r\n\r\n") == row.proxy.hides_cuts
        assert b"[DONE]" not in rest.raw
        assert (b'"code":"upstream_cut"' in rest.raw) == (path == V1)
        assert await outcome_of(row, number) == "upstream_failed"


async def test_a_caller_who_leaves_is_seen_by_the_provider(row: Row) -> None:
    """Through two hops and while the provider is silent: tokens nobody reads cost money."""
    ways = [(path, has_begun) for path in (V1, CHAT) for has_begun in (False, True)]
    for number, (path, has_begun) in enumerate(ways, 1):
        async with row.call() as caller:
            await row.ask(caller, path)
            await row.provider.open_stream()
            if has_begun:
                await row.provider.send(event_of(content=WORDS[0]))
                await caller.read_until(expected_of(path, WORDS[0]))

        if not row.proxy.kind.sees_a_silent_caller_leave:
            # It finds out by writing: the first piece is answered by a reset, and so on.
            while len(row.gateway.log.settled) < number:
                await row.provider.send(event_of(content=WORDS[1]))
                await row.pause()
        await row.provider.wait_until_left(LEFT_S)
        assert await outcome_of(row, number) == "client_gone"


async def test_a_silent_provider_does_not_keep_a_v1_caller_without_a_sign(
    open_row: OpenRow,
) -> None:
    """Comments keep proxies from giving up, so each of them must let them through one by one."""
    row = await open_row(v1_max_wait_s=0.05, keep_alive_comment_s=0.05)

    async with row.call() as caller:
        await row.ask(caller, V1)
        await row.provider.wait_until_asked()
        head = await caller.read_until(b": keep-alive\n\n")
        await caller.read_until(b": keep-alive\n\n")
        await row.provider.send_head()
        await row.provider.send(event_of(content=WORDS[0]))
        await caller.read_until(expected_of(V1, WORDS[0]))

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    await row.provider.wait_until_left(LEFT_S)
    await row.gateway.log.wait_for_settled()


async def test_the_head_of_a_chat_leaves_in_time_without_text(open_row: OpenRow) -> None:
    """A proxy that waits for a head gives up after a minute, unless it is told to wait longer."""
    row = await open_row(chat_max_wait_s=0.05)

    async with row.call() as caller:
        await row.ask(caller, CHAT)
        head = await caller.read_until(b"\r\n\r\n")
        await row.provider.open_stream()
        await row.provider.send(event_of(content=WORDS[0]))
        await caller.read_until(WORDS[0].encode())
        await row.provider.send(DONE)
        await row.provider.send_raw(END)
        await caller.read_to_end()

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    await row.gateway.log.wait_for_settled()


async def test_streams_follow_each_other_on_one_connection_to_the_gateway(row: Row) -> None:
    """A handshake for each request is slow, and a late byte would be the next caller's."""
    # Of one caller: a second one may come before a proxy has put its connection back.
    async with row.call() as caller:
        for number in range(3):
            await row.ask(caller, V1, is_last=number == 2)
            await row.provider.open_stream()
            await row.provider.send(event_of(content=f"answer {number}"))
            await row.provider.send(DONE)
            await row.provider.send_raw(END)
            heard = Heard(await caller.read_until(b"\r\n0\r\n\r\n"))

            assert heard.body == event_of(content=f"answer {number}") + DONE
            assert heard.is_whole
    if row.proxy.kind.keeps_connections:
        assert row.gateway.open_connections == 1
