"""Three hundred odd requests, sent to the gateway itself and through nginx.

The rule here: what counts is what the gateway has seen. A request has an id that nginx passes on,
so what nginx forwarded and what arrived are held against each other one by one.
"""

import asyncio
import contextlib
import hashlib
import json
import random
from collections import Counter
from dataclasses import dataclass, replace

from tests.faults.conftest import OpenScene
from tests.plugins.odd_requests import ODD, PLAIN, SMUGGLED
from tests.plugins.proxies.running import Proxy
from tests.plugins.raw_caller import Caller
from tests.plugins.scene import CHAT, V1, Scene, body_of, eventually, raw_request

MUTANTS = 260
PATIENCE_S = 1  # a request that is never whole is waited for so long, and no answer comes
AT_ONCE = 50
PIECE_BYTES = 64  # of what is read at once with something malformed, the gateway serves nothing

# What is put in, or in the place of something: what framing is made of.
TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\0", b"\x0b", b":", b",", b";", b"\xff"),
    *(b"0\r\n\r\n", b"1", b"-", b"+", b"0x", b"chunked", b"identity", b"GET ", b" HTTP/1.0"),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Transfer-Encoding: xchunked\r\n", b"Host: evil\r\n", b"Connection: close\r\n"),
    *(b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"Trailer: X\r\n", b"5;x=y\r\n"),
]


LAST = raw_request("GET /v1/models HTTP/1.1", "Connection: close")


@dataclass(frozen=True, order=True)
class Seen:
    """A request as the gateway understood it."""

    request_id: str
    method: str
    path: str
    body_bytes: int
    was_served: bool


def request_of(name: str, path: str, body: bytes, *framing: str) -> bytes:
    """One good request whose id is its name."""
    return raw_request(f"POST {path} HTTP/1.1", f"X-Request-ID: {name}", *framing, body=body)


def good_requests(way: str, case: str) -> list[bytes]:
    """Requests of every framing, with ids and bodies of their own, which hold another request."""
    name = f"{way}-{case}"
    hidden = {"messages": [{"role": "user", "content": f"{case}\n\n{SMUGGLED.decode()}"}]}
    body = json.dumps(body_of(V1, "plain", stream=False, **hidden)).encode()
    text = json.dumps(body_of(CHAT, "plain", **hidden)).encode()
    chunks = b"%x\r\n%b\r\n%x;x=y\r\n%b\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    return [
        request_of(f"{name}.length", V1, body, f"Content-Length: {len(body)}"),
        request_of(f"{name}.chunked", V1, chunks, "Transfer-Encoding: chunked"),
        request_of(f"{name}.text", CHAT, text, f"Content-Length: {len(text)}"),
        raw_request("GET /v1/models HTTP/1.1", f"X-Request-ID: {name}.get"),
        request_of(
            f"{name}.trailers", V1, chunks[:-2] + b"X: y\r\n\r\n", "Transfer-Encoding: chunked"
        ),
    ]


def mutate(raw: bytes, draw: random.Random) -> bytes:
    """Break one to three places, most of them where heads and framing are."""
    for _ in range(draw.randint(1, 3)):
        place = draw.choice([draw.randrange(len(raw)), *line_ends(raw)])
        cut = draw.choice([0, 0, 1, 2])
        raw = raw[:place] + draw.choice([b"", *TOKENS]) + raw[place + cut :]
    return raw


def line_ends(raw: bytes) -> list[int]:
    """The places just behind each line."""
    return [place + 2 for place in range(len(raw)) if raw.startswith(b"\r\n", place)]


def make_corpus(way: str) -> list[bytes]:
    """Those that somebody thought of, each between two good ones, and those that chance made.

    The way is part of every id, and has five letters: places are the same in both.
    """
    draw = random.Random(19)  # noqa: S311 - the same ones every time
    corpus = []
    for number, case in enumerate([*ODD, *PLAIN]):
        first, *_, last = good_requests(way, f"odd{number}")
        corpus.append(first + case.raw + last)
    for number in range(MUTANTS):
        chosen = draw.sample(good_requests(way, f"mutant{number}"), 3)
        corpus.append(mutate(b"".join(chosen), draw))
    return corpus


async def send_all(corpus: list[bytes], port: int) -> None:
    """Send each over a connection of its own, and listen until it is closed."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def send(raw: bytes) -> None:
        async with turns, Caller(port) as caller:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(PATIENCE_S):
                    for place in range(0, len(raw + LAST), PIECE_BYTES):
                        await caller.send((raw + LAST)[place : place + PIECE_BYTES])
                        await asyncio.sleep(0)  # a turn, in which it is read
                    await caller.read_to_end()

    await asyncio.gather(*map(send, corpus))


def seen_by(scene: Scene) -> list[Seen]:
    """What the gateway took for requests."""
    return [
        Seen(
            line["request_id"],
            line["method"],
            line["path"],
            line["bytes_in"],
            was_served=line["outcome"] == "finished",
        )
        for line in scene.gateway.log.settled
    ]


def malformed_in(scene: Scene) -> int:
    """What it took for no request."""
    return sum(line["event"] == "request.malformed" for line in scene.gateway.log.lines)


def bodies_in(scene: Scene) -> set[str]:
    """What came to the provider so far."""
    return {hashlib.sha256(served.body).hexdigest() for served in scene.simulator.journal}


def forwarded_by(nginx: Proxy) -> list[str]:
    """The ids of the requests that it has sent to a gateway so far."""
    lines = (nginx.directory / "access.log").read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if not line.endswith(" -")]


async def test_nginx_and_the_gateway_see_the_same_requests(
    open_scene: OpenScene, nginx: Proxy
) -> None:
    """B19: a request that only one of the two has seen was smuggled past the other.

    What either refuses, the other may serve; what both have served, they have read alike.
    """
    scene = await open_scene(behind=nginx, settings={"logging": {"level": "debug"}})

    before = len(forwarded_by(nginx))

    await send_all(make_corpus("nginx"), nginx.port)
    await eventually(lambda: scene.gateway.is_quiet, "all are answered")
    through, malformed, bodies = seen_by(scene), malformed_in(scene), bodies_in(scene)
    await send_all(make_corpus("plain"), scene.gateway.port)
    await eventually(lambda: scene.gateway.is_quiet, "all are answered")
    direct = seen_by(scene)[len(through) :]

    forwarded = Counter(forwarded_by(nginx)[before:])
    arrived = Counter(one.request_id for one in through)
    assert arrived - forwarded == Counter()
    assert (forwarded - arrived).total() == malformed
    assert forwarded.total() > len(ODD) + len(PLAIN) + MUTANTS
    assert "/smuggled" not in {one.path for one in through + direct}
    pairs = pairs_of(through, direct)
    assert [pair for pair in pairs if pair[0] != pair[1]] == []
    assert len(pairs) > 50
    assert bodies_in(scene) == bodies  # directly no other than through nginx


def pairs_of(through: list[Seen], direct: list[Seen]) -> list[tuple[Seen, Seen]]:
    """What the gateway served directly, and the same through nginx; ids are left out."""
    served = [one for one in direct if "-" in one.request_id and one.was_served]
    named = {one.request_id.partition("-")[2]: one for one in served}
    ways = ((one, named.get(one.request_id.partition("-")[2])) for one in through)
    return [
        (replace(one, request_id=""), replace(other, request_id=""))
        for one, other in ways
        if other is not None
    ]
