"""Who was refused a moment ago is refused again from their bytes, and nobody else is."""

import json

import pytest

from gateway.core.exchange import Exchange, Outcome
from gateway.overload.door import MOST_CALLERS, WATCHING_S, Door
from gateway.overload.seats import Seats
from tests.plugins.chain import parse_reply

KEY = (b"Authorization", b"Bearer gw-alice")
BODY = b'{"model":"groq/m"}'


def asked(*lines: str, path: str = "/v1/chat/completions", length: int | None = len(BODY)) -> bytes:
    """A request as its bytes."""
    head = [f"POST {path} HTTP/1.1", "Host: x", *lines]
    if length is not None:
        head.append(f"Content-Length: {length}")
    return "\r\n".join([*head, "", ""]).encode() + BODY


class Desk:
    """A door, and seats that alice has all of."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.seats = Seats(2)
        self.door = Door(self.seats, lambda: self.now)
        self.hers = [
            Exchange("a", 1.0, "POST", "/", "unix", (self.seats.settle,)) for _ in range(2)
        ]
        for exchange in self.hers:
            self.seats.take(exchange, "alice")
        self.door.note([(b"Host", b"x"), KEY], "alice")


ALICE = "Authorization: Bearer gw-alice"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat/groq"])
def test_who_was_refused_is_refused_in_their_dialect(path: str) -> None:
    """M01: the same answer as the chain's, for a tenth of its cost."""
    answer = Desk().door.turn_away(asked(ALICE, path=path))

    assert answer is not None
    reply = parse_reply(answer)
    assert (reply.status, reply.is_whole) == (503, True)
    error = reply.json()["error"]
    assert error["code"] == "overloaded"
    request_id = reply.json().get("request_id") or error["request_id"]
    assert reply.headers["x-request-id"] == request_id
    assert 1 <= int(reply.headers["retry-after"]) <= 4
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat/groq"])
@pytest.mark.parametrize("sent", ["a", "my-id.7", "x" * 128])
def test_a_callers_own_id_is_echoed(path: str, sent: str) -> None:
    """As by the chain."""
    answer = Desk().door.turn_away(asked(ALICE, f"x-request-ID:  {sent}", path=path))

    reply = parse_reply(answer or b"")
    assert reply.is_whole
    assert reply.headers["x-request-id"] == sent
    assert sent in (reply.json().get("request_id"), reply.json()["error"].get("request_id"))


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "ä", '"', "gw_" + "a" * 49])
def test_an_id_that_the_chain_would_not_take_is_replaced(sent: str) -> None:
    """It stands in the answer as it is."""
    answer = Desk().door.turn_away(asked(ALICE, f"X-Request-ID: {sent}"))

    assert len(parse_reply(answer or b"").headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    "line",
    [
        "authorization: Bearer gw-alice",
        "AUTHORIZATION:Bearer gw-alice",
        "Authorization:   Bearer gw-alice  ",
    ],
)
def test_however_a_header_is_written_it_shows_the_same(line: str) -> None:
    """A client library writes it as it likes."""
    assert Desk().door.turn_away(asked(line)) is not None


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Authorization: Bearer gw-bob",),
        ("x-api-key: Bearer gw-alice",),
        (ALICE, "Cookie: a=b"),
        (ALICE, ALICE),
    ],
)
def test_who_shows_anything_else_is_not_known_here(lines: tuple[str, ...]) -> None:
    """M05: it is somebody else, whose turn it may be."""
    assert Desk().door.turn_away(asked(*lines)) is None


def test_a_seat_that_is_free_is_found_at_once() -> None:
    """What is known is who asks; whether it is their turn is asked each time."""
    desk = Desk()
    assert desk.door.turn_away(asked(ALICE)) is not None

    desk.hers.pop().settle(Outcome.FINISHED, at=2.0)

    assert desk.door.turn_away(asked(ALICE)) is None


def test_after_a_second_the_chain_is_asked_again() -> None:
    """A key may have been withdrawn, and its holder is to hear that."""
    desk = Desk()
    assert desk.door.is_watched

    desk.now += WATCHING_S

    assert not desk.door.is_watched
    assert desk.door.turn_away(asked(ALICE)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"POST",
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer gw-alice\r\n\r\n",
        asked(ALICE)[:-1],
        asked(ALICE) + b"P",
        asked(ALICE, length=None),
        asked(ALICE, "Content-Length: 18"),
        asked(ALICE, "content-length: 0", length=None),
        asked(ALICE, "Content-Length: -18", length=None),
        asked(ALICE, "Content-Length: 00000000000000000018", length=None),
        asked(ALICE, "Transfer-Encoding: chunked"),
        asked(ALICE, "transfer-encoding : chunked"),
        asked(ALICE, "Expect: 100-continue"),
        asked(ALICE, "Origin: https://chat.example.org"),
        asked(ALICE, "Connection: close"),
        asked(ALICE).replace(b"HTTP/1.1", b"HTTP/1.0"),
        asked(ALICE).replace(b"\r\n\r\n", b"\n\n"),
        asked(ALICE, path="/v1/chat/completions?x=1"),
    ],
    ids=range(18),
)
def test_what_is_not_plain_is_for_the_chain(data: bytes) -> None:
    """Group B: a head that two could read in two ways is read by one, who is strict."""
    assert Desk().door.turn_away(data) is None


def test_nothing_that_was_shown_is_kept() -> None:
    """L01: a number is enough to know it again."""
    desk = Desk()

    assert "gw-alice" not in repr(vars(desk.door))


def test_it_knows_so_many_and_no_more() -> None:
    """Names are cheap: what a flood of them could fill is bounded."""
    desk = Desk()
    for number in range(MOST_CALLERS * 3):
        desk.door.note([(b"Authorization", b"%d" % number)], "alice")

    assert len(desk.door._holders) <= MOST_CALLERS  # noqa: SLF001 - what must not grow


def test_the_body_is_json() -> None:
    """And names no caller."""
    answer = Desk().door.turn_away(asked(ALICE))

    assert answer is not None
    assert "alice" not in json.dumps(parse_reply(answer).json())


def test_each_refusal_has_an_id_of_its_own() -> None:
    """What is written once for all must not be the same for all."""
    door = Desk().door
    replies = [parse_reply(door.turn_away(asked(ALICE)) or b"") for _ in range(50)]

    ids = {reply.headers["x-request-id"] for reply in replies}
    assert len(ids) == 50
    assert {reply.json()["request_id"] for reply in replies} == ids
    assert {reply.headers["retry-after"] for reply in replies} == {"1", "2", "3", "4"}
