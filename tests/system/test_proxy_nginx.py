"""What nginx alone does, with the configuration that ships and without the gateway behind it.

The rule here: the upstream is a bare socket, or nobody at all.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugins.proxies.nginx import DENIED
from tests.plugins.proxies.row import only_linux
from tests.plugins.proxies.running import KINDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.plugins.proxies.running import Proxies, Proxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


@dataclass(frozen=True)
class Answer:
    """What came back from nginx."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, if it says that it is that."""
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


@dataclass
class Upstream:
    """A bare server that keeps each request head and answers the same bytes to all."""

    heads: list[str] = field(default_factory=list)
    answer: bytes = OK
    left: asyncio.Event = field(default_factory=asyncio.Event)
    peers: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one head, answer, and stay until the peer leaves."""
        self.peers[writer] = asyncio.current_task()
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        writer.write(self.answer)
        await reader.read()
        self.left.set()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def upstream(address: str | None, answer: bytes = OK) -> AsyncIterator[Upstream]:
    """Serve `answer` where nginx looks for it."""
    served = Upstream(answer=answer)
    assert address is not None
    host, _, port = address.rpartition(":")
    async with await asyncio.start_server(served.serve, host, int(port)):
        yield served
        for writer, task in served.peers.items():
            writer.close()
            if task is not None:
                await task


@pytest.fixture
def chat_ui(proxies: Proxies) -> Proxy:
    """nginx with the other file: a front end has the same host name."""  # noqa: D403 - a name
    return proxies.start_on_loopback(KINDS["nginx"], chat_ui=True)


async def ask(nginx: Proxy, path: str, *headers: str, method: str = "POST") -> Answer:
    """Send one request without a body and read the answer, which has a length."""
    lines = [f"{method} {path} HTTP/1.1", "Host: chat.example.org", "Connection: close", *headers]
    reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").removesuffix("\r\n\r\n")
    status, *fields = head.split("\r\n")
    got = {name.lower(): value for name, value in (line.split(": ", 1) for line in fields)}
    body = await reader.readexactly(int(got["content-length"]))
    writer.close()
    await writer.wait_closed()
    return Answer(int(status.split()[1]), got, body)


async def test_chat_callers_get_json_while_the_gateway_is_away(nginx: Proxy) -> None:
    """The front end reads `message` of any failure; an HTML page shows the user nothing at all."""
    answer = await ask(nginx, "/api/chat/groq", "X-Request-ID: mine-1")

    assert answer.status == 502
    assert answer.json() == {
        "message": "The gateway cannot be reached. Please try again in a moment.",
        "error": {
            "code": "gateway_unreachable",
            "type": "internal_error",
            "request_id": "mine-1",
        },
    }
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["cache-control"] == "no-store"


async def test_openai_callers_get_their_own_shape_while_the_gateway_is_away(nginx: Proxy) -> None:
    """An SDK builds its exception from `error`; anything else becomes an unreadable one."""
    answer = await ask(nginx, "/v1/chat/completions", "X-Request-ID: not/ours")

    assert answer.status == 502
    request_id = answer.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert answer.json() == {
        "error": {
            "message": "The gateway cannot be reached. Please try again in a moment.",
            "type": "internal_error",
            "param": None,
            "code": "gateway_unreachable",
        },
        "request_id": request_id,
    }


@pytest.mark.parametrize(
    ("path", "header", "status", "code"),
    [
        ("/api/chat/groq", "Content-Length: 33554433", 413, "body_too_large"),
        ("/v1/chat/completions", "Content-Length: 33554433", 413, "body_too_large"),
        ("/api/chat/groq", "X-Long: " + "x" * 9000, 431, "headers_too_large"),
        ("/api/chat/" + "x" * 9000, "Accept: */*", 414, "headers_too_large"),
        ("/api/chat/groq", "Authorization: a\r\nAuthorization: b", 400, "malformed_request"),
        ("/api/chat/groq", "Transfer-Encoding: gzip, chunked", 501, "malformed_request"),
        ("/metrics", "Accept: */*", 404, "not_found"),
        ("/admin/keys", "Accept: */*", 404, "not_found"),
        ("/api/x/..%2f..%2fadmin", "Accept: */*", 404, "not_found"),
    ],
)
async def test_what_nginx_refuses_itself_is_json(
    nginx: Proxy, path: str, header: str, status: int, code: str
) -> None:
    """A request that never reaches the gateway is answered like one that does."""
    answer = await ask(nginx, path, header)

    assert (answer.status, answer.json()["error"]["code"]) == (status, code)


async def test_a_gateway_that_is_silent_too_long_is_a_504_as_json(proxies: Proxies) -> None:
    """The longest wait is nginx's own, and its end is an error that the caller can read."""
    nginx = proxies.start_on_loopback(KINDS["nginx"], patience_s=0.1)
    async with upstream(nginx.plan.first, answer=b""):
        answer = await ask(nginx, "/api/chat/groq")

    assert (answer.status, answer.json()["error"]["code"]) == (504, "gateway_timeout")


async def test_the_gateways_own_errors_pass_untouched(nginx: Proxy) -> None:
    """A provider's failure is a 502 too, and its reason must not be painted over by nginx."""
    body = b'{"message":"ours"}'
    head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with upstream(nginx.plan.first, answer=head + body):
        answer = await ask(nginx, "/api/chat/groq")

    assert (answer.status, answer.body) == (502, body)


async def test_the_gateway_learns_that_the_caller_came_through_nginx(nginx: Proxy) -> None:
    """X-Forwarded-For keeps anonymous access for loopback: nobody can hide it or fake it."""
    async with upstream(nginx.plan.first) as served:
        await ask(nginx, "/api/chat/groq", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1")

    head = served.heads[0].lower()
    assert head.startswith("post /api/chat/groq http/1.1\r\n")
    assert re.findall(r"x-forwarded-for: (.*)\r\n", head) == ["127.0.0.1"]
    assert re.findall(r"x-forwarded-proto: (.*)\r\n", head) == ["http"]
    assert re.findall(r"host: (.*)\r\n", head) == ["chat.example.org", "chat.example.org"]
    assert "\r\nforwarded:" not in head
    assert "\r\nconnection:" not in head


async def test_raw_paths_reach_the_gateway_as_they_were_sent(nginx: Proxy) -> None:
    """The gateway refuses what two servers could read in two ways; it must be shown it."""
    async with upstream(nginx.plan.first) as served:
        await ask(nginx, "/api/chat/..%2fchat%2Fgroq")

    assert served.heads[0].startswith("POST /api/chat/..%2fchat%2Fgroq HTTP/1.1\r\n")


async def test_no_answer_makes_nginx_serve_a_file(nginx: Proxy) -> None:
    """An answer with X-Accel-Redirect would otherwise fetch another location's content."""
    answer = OK.replace(b"\r\n\r\n", b"\r\nX-Accel-Redirect: /v1/other\r\n\r\n")
    async with upstream(nginx.plan.first, answer=answer) as served:
        got = await ask(nginx, "/api/chat/groq")

    assert (got.status, got.body, len(served.heads)) == (200, b"ok", 1)


async def test_pieces_leave_as_they_arrive_and_a_lost_caller_is_seen(nginx: Proxy) -> None:
    """A stream held back by nginx is no stream, and an answer nobody reads still costs money."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with upstream(nginx.plan.first, answer=head + b"3\r\none\r\n") as stalled:
        reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port)
        writer.write(b"GET /v1/x HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")

        seen = await reader.readuntil(b"3\r\none\r\n")
        writer.transport.abort()
        await stalled.left.wait()

    assert b"content-encoding" not in seen.lower()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/chat/groq", "gateway"),
        ("/api/keys", "gateway"),
        ("/api/profile", "gateway"),
        ("/api/profile/keys", "gateway"),
        ("/api/providers", "gateway"),
        ("/api/providers/groq/models", "gateway"),
        ("/v1", "gateway"),
        ("/v1/models", "gateway"),
        ("/api/chat", "chat-ui"),
        ("/api/chat/custom", "chat-ui"),
        ("/api/chat/tools", "chat-ui"),
        ("/api/command", "chat-ui"),
        ("/", "chat-ui"),
    ],
)
async def test_the_chat_front_end_and_the_gateway_share_one_origin(
    chat_ui: Proxy, path: str, expected: str
) -> None:
    """The front end calls relative addresses only, and keeps the routes the gateway has not."""
    async with upstream(chat_ui.plan.first) as gateway, upstream(chat_ui.plan.chat_ui) as front_end:
        answer = await ask(chat_ui, path, method="GET")

    assert answer.status == 200
    seen = (len(gateway.heads), len(front_end.heads))
    assert seen == ((1, 0) if expected == "gateway" else (0, 1))


async def test_beside_a_front_end_too_what_is_refused_early_is_json(chat_ui: Proxy) -> None:
    """Cookies of a session are long, and they come with every call to the gateway."""
    answers = [
        await ask(chat_ui, "/api/chat/groq", "Cookie: " + "x" * 9000),
        await ask(chat_ui, "/api/chat/" + "x" * 9000),
        await ask(chat_ui, "/api/chat/groq", "Authorization: a\r\nAuthorization: b"),
    ]

    assert [(answer.status, answer.json()["error"]["code"]) for answer in answers] == [
        (431, "headers_too_large"),
        (414, "headers_too_large"),
        (400, "malformed_request"),
    ]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /v1/models HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    ],
    ids=["lower case", "HTTP/2 preface", "HTTP/2 without one"],
)
def test_what_is_refused_before_it_has_a_path_is_json(
    nginx: Proxy, head: bytes, status: int
) -> None:
    """A named location cannot answer a request without a URI: it was a 500, as HTML."""
    assert refusal_of(nginx.port, head) == (status, "malformed_request")


def test_a_call_without_tls_where_it_is_spoken_is_json(nginx: Proxy) -> None:
    """Whoever wrote http for https reads the answer with an SDK."""
    head = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"

    assert refusal_of(nginx.plan.ports[1], head) == (400, "malformed_request")


@only_linux()
@pytest.mark.parametrize("path", ["/llm/v1/models", "/llm/api/keys"])
def test_whom_the_operator_keeps_out_is_told_so(nginx: Proxy, path: str) -> None:
    """`deny` keeps out of the location with the text as well, unless that says otherwise."""
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()

    refusal = refusal_of(nginx.beside_port, head, source=DENIED)

    assert refusal == (403, "address_not_allowed")


def refusal_of(port: int, head: bytes, *, source: str = "127.0.0.1") -> tuple[int, str]:
    """Status and code of the answer that ends a connection."""
    with socket.create_connection(
        ("127.0.0.1", port), timeout=10, source_address=(source, 0)
    ) as caller:
        caller.sendall(head)
        heard = b""
        while piece := caller.recv(65_536):
            heard += piece
    answer, _, body = heard.partition(b"\r\n\r\n")
    return int(answer.split()[1]), json.loads(body)["error"]["code"]
