"""Bodies that are refused before all of them has come, at each reverse proxy.

The rule here: what is left of such a body is nobody's request, however it is cut into writes.
"""

import asyncio

import pytest

from tests.plugins.proxies.row import V1, OpenBehind, only_linux
from tests.plugins.proxies.running import Proxy
from tests.plugins.raw_caller import Caller
from tests.plugins.scene import raw_request

pytestmark = only_linux()

PIECES, PIECE_BYTES = 3, 200_000
TRIES = 24
STEP_S = 0.002  # so much longer each try's caller takes, to meet every moment of the proxy's
REFUSED_S = 10


async def refuse(proxy: Proxy, pause_s: float, *, in_chunks: bool) -> bytes:
    """All that comes back for one long body of a caller without a key."""
    framing = f"Content-Length: {PIECES * PIECE_BYTES}"
    piece = b"x" * PIECE_BYTES
    if in_chunks:
        framing, piece = "Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (PIECE_BYTES, piece)
    async with Caller(proxy.port, host=proxy.host) as caller:
        try:
            async with asyncio.timeout(REFUSED_S):
                await caller.send(raw_request(f"POST {V1} HTTP/1.1", framing, authorized=False))
                for _ in range(PIECES):
                    await asyncio.sleep(pause_s)
                    await caller.send(piece)
                if in_chunks:
                    await caller.send(b"0\r\n\r\n")
                await caller.send(raw_request("GET /v1/last HTTP/1.1", "Connection: close"))
                await caller.read_to_end()
        except ConnectionError:  # it has closed, and does not read the rest
            pass
        return bytes(caller.raw)


@pytest.mark.parametrize("in_chunks", [False, True], ids=["length", "chunks"])
async def test_what_is_left_of_a_refused_body_is_no_request(
    behind: OpenBehind, proxy: Proxy, *, in_chunks: bool
) -> None:
    """B19: it would be answered, and each later answer be taken for that of the request before."""
    gateway = await behind()

    tries = await asyncio.gather(
        *(refuse(proxy, number * STEP_S, in_chunks=in_chunks) for number in range(TRIES))
    )

    for raw in tries:
        statuses = [part[:3] for part in raw.split(b"HTTP/1.1 ")[1:]]
        assert statuses in ([], [b"401"], [b"401", b"404"])
    assert {line["path"] for line in gateway.log.settled} <= {V1, "/v1/last"}
