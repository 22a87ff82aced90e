"""Who gets a place at a listener, and who does not."""

import asyncio
import resource
from collections.abc import Iterator

import pytest

from gateway.server.connection_limit import OWN_FILES, ConnectionLimit, count_places
from tests.plugins.chain import Running, StartChain, parse_reply, render_request

FILES = 256
PLACES = (FILES - OWN_FILES) // 2


@pytest.fixture
def few_files() -> Iterator[None]:
    """A low limit, above what is open already."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("limit", "places"), [(1024, 488), (FILES, PLACES), (33, 1), (8, 1)])
def test_half_of_the_files_are_for_callers(limit: int, places: int) -> None:
    """The other half are for the providers that answer them; a gateway for nobody is of no use."""
    assert count_places(limit) == places


def test_without_a_limit_everybody_has_a_place() -> None:
    """RLIM_INFINITY is -1, which is not a number of files."""
    assert count_places(resource.RLIM_INFINITY) > 10**6


@pytest.mark.usefixtures("few_files")
async def test_a_place_can_be_taken_again() -> None:
    """Whoever was turned away may come back."""
    counted: list[int] = []
    limit = ConnectionLimit(lambda: counted.append(1))
    taken = [limit.take() for _ in range(FILES)]

    limit.give_back()

    assert taken == [True] * PLACES + [False] * (FILES - PLACES)
    assert len(counted) == FILES - PLACES
    assert (limit.take(), limit.take()) == (True, False)


@pytest.mark.usefixtures("few_files")
async def test_who_finds_no_place_is_turned_away_until_somebody_leaves(
    start_chain: StartChain,
) -> None:
    """Otherwise a listener that was full once would stay full."""
    chain = await start_chain()
    held = [(await chain.connect())[1] for _ in range(PLACES)]

    turned_away = await chain.send(b"")
    for writer in held:
        writer.close()

    assert turned_away == b""
    assert parse_reply(await ask_until_answered(chain)).status == 200


@pytest.mark.usefixtures("few_files")
async def test_who_only_waits_for_another_request_makes_room_when_none_is_left(
    start_chain: StartChain,
) -> None:
    """Connections that were used are kept for a minute; whoever comes has something to ask now."""
    chain = await start_chain()
    held = [await chain.connect() for _ in range(PLACES)]
    for reader, writer in held:
        writer.write(render_request("GET", "/api/keys", headers=[("Connection", "keep-alive")]))
        await reader.readuntil(b'{"ok": true}')

    turned_away = await chain.send(b"")

    assert turned_away == b""
    assert parse_reply(await ask_until_answered(chain)).status == 200
    assert [await reader.read() for reader, _ in held] == [b""] * PLACES
    for _, writer in held:
        writer.close()


async def ask_until_answered(chain: Running) -> bytes:
    """Ask again until there is a place: a connection is over a moment after it was closed."""
    async with asyncio.timeout(5):
        while not (raw := await chain.send(render_request("GET", "/api/keys"))):
            pass
    return raw
