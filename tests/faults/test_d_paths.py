"""Paths, names and headers, in both directions.

The rule here: a name is looked up as it stands; what is not on a list of ours crosses nothing.
"""

import json
import re

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.proxies.running import Proxy
from tests.plugins.scene import (
    AUTHORIZATION,
    CHAT,
    PATHS,
    V1,
    Scene,
    body_of,
    error_of,
    header_of,
    raw_request,
)

BODY = json.dumps(body_of(CHAT)).encode()
ADMIN_PATHS = ("/healthz", "/readyz", "/metrics", "/admin", "/admin/keys")


def post(path: str, *headers: str, body: bytes = BODY) -> bytes:
    """A request to a path that is written as it stands."""
    length = f"Content-Length: {len(body)}"
    return raw_request(f"POST {path} HTTP/1.1", length, "Connection: close", *headers, body=body)


REFUSED = [
    "..%2fadmin",
    "..%2Fsim",
    "%2e%2e/sim",
    "%2e%2e%2fsim",
    ".%2e/sim",
    "../sim",
    "x%00",
    "%00",
    "sim%0d%0aX-A:%201",
    "sim%0a",
    "sim%09",
    "sim%7f",
    "sim\\x",
    "sim%5cx",
    "sim%5Cx",
    "sim%2fx",
]
NOT_FOUND = [
    "%252e%252e%252f",
    "sim;x=1",
    "sim/",
    "/sim",
    "sim//",
    "sim.",
    "sim%20",
    "SIM",
    "Sim",
    "%73im%20",
    "si%6d%c2%a0",
    "%ef%bd%93im",
    "xn--sim-0ra",
    "s\u0131m".encode().decode("latin-1"),
    "",
    "x" * 64,
]


@pytest.mark.parametrize("name", REFUSED)
async def test_a_path_that_can_be_read_in_two_ways_is_a_400(scene: Scene, name: str) -> None:
    """D01: a proxy in front may have judged the other reading."""
    heard = await scene.send(post(f"/api/chat/{name}"))

    assert error_of(heard) == (400, "invalid_path")
    assert scene.upstream_requests == 0


@pytest.mark.parametrize("name", NOT_FOUND)
async def test_a_name_that_is_not_exactly_a_providers_is_not_found(scene: Scene, name: str) -> None:
    """D01, D03: no folding, no trimming, no normalisation; a provider has one spelling."""
    raw = post("/api/chat/@").replace(b"@", name.encode("latin-1"), 1)

    heard = await scene.send(raw)

    assert heard.status in {400, 404}
    assert error_of(heard)[1] in {
        "provider_not_found",
        "not_found",
        "invalid_path",
        "malformed_request",
    }
    assert scene.upstream_requests == 0


async def test_a_letter_may_be_written_in_percent(scene: Scene) -> None:
    """D01: it means the same to everybody (RFC 3986, 6.2.2.2)."""
    heard = await scene.send(post("/api/chat/%73im"))

    assert heard.status == 200


@pytest.mark.parametrize("path", ADMIN_PATHS)
async def test_the_admin_pages_are_not_on_the_public_listener(scene: Scene, path: str) -> None:
    """D02: no rule in front of them can be walked around when they are not there."""
    for written in (path, f"/api/chat/..%2f..{path}", f"/v1/../{path[1:]}", f"/api/..{path}"):
        heard = await scene.send(raw_request(f"GET {written} HTTP/1.1", "Connection: close"))

        assert heard.status in {400, 404}
        assert b"gateway_" not in heard.body


async def test_behind_nginx_no_spelling_reaches_the_admin_pages(
    scene_behind_nginx: Scene, nginx: Proxy
) -> None:
    """D02: nginx decides by the path it has normalised and passes on the one that was sent."""
    scene = scene_behind_nginx
    spellings = [
        *ADMIN_PATHS,
        "/metrics/..%2fapi%2fkeys",
        "/api/chat/..%2f..%2fmetrics",
        "/api/%2e%2e/metrics",
        "/v1/..%2fmetrics",
        "/admin/keys/..%2f..%2fapi%2fchat%2fsim",
        "//metrics",
        "/api//../metrics",
    ]
    for spelling in spellings:
        raw = raw_request(f"GET {spelling} HTTP/1.1", "Connection: close")

        heard = await scene.send(raw, port=nginx.port)

        assert heard.status in {400, 404}, spelling
        assert b"gateway_" not in heard.body


SPOOFED = (
    "X-Api-Key-2: theirs",
    "OpenAI-Organization: theirs",
    "OpenAI-Project: theirs",
    "anthropic-beta: theirs",
    "anthropic-version: theirs",
    "Cookie: theirs=1",
    "Proxy-Authorization: Basic theirs",
    "Idempotency-Key: theirs",
    "X-Stainless-Lang: theirs",
    "User-Agent: theirs",
    "Accept-Encoding: gzip, theirs",
    "Accept: theirs/x",
    "TE: trailers",
    "Keep-Alive: timeout=5",
    "X-Forwarded-For: 192.0.2.1",
    "X-HTTP-Method-Override: DELETE",
    "X-Simulate-2: theirs",
    "Referer: https://theirs.example",
)


@pytest.mark.parametrize("path", PATHS)
async def test_no_header_of_the_caller_reaches_the_provider(scene: Scene, path: str) -> None:
    """D05: the provider sees the gateway's credential, host and wishes, and nobody else's."""
    heard = await scene.ask(None, path, headers=("Connection: close, authorization", *SPOOFED))

    assert heard.status == 200
    served = scene.simulator.journal.last
    assert {name.lower() for name, _ in served.headers} == {
        "host",
        "user-agent",
        "content-type",
        "accept-encoding",
        "authorization",
        "accept",
        "content-length",
    }
    assert "theirs" not in repr(served.headers)
    assert AUTHORIZATION.partition(" ")[2] not in repr(served.headers)


async def test_the_address_in_the_log_is_the_peers(scene: Scene) -> None:
    """D06: whoever writes X-Forwarded-For may claim to be anybody."""
    await scene.ask(headers=("Connection: close", "X-Forwarded-For: 192.0.2.1", "X-Real-IP: x"))

    assert (await scene.settled())["client"] == "127.0.0.1"


async def test_behind_nginx_a_claimed_address_gives_no_access(
    open_scene: OpenScene, nginx: Proxy
) -> None:
    """D06: without `auth` only direct local calls are answered, and nginx is on loopback too."""
    scene = await open_scene(behind=nginx)
    raw = post(CHAT, "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1")
    raw = raw.replace(f"{AUTHORIZATION}\r\n".encode(), b"")

    heard = await scene.send(raw, port=nginx.port)

    assert error_of(heard) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "given", ["x" * 129, "x" * 8000, "a b", "a/b", "<script>", "\u2028", "a\tb", '"', "%0d%0a", ""]
)
async def test_an_id_that_is_not_harmless_is_replaced(scene: Scene, given: str) -> None:
    """D07: it is written into logs, headers and perhaps the names of files."""
    heard = await scene.ask(headers=("Connection: close", f"X-Request-ID: {given}"))

    settled = await scene.settled()
    assert re.fullmatch("[0-9a-f]{32}", settled["request_id"])
    assert header_of(heard, "x-request-id") == settled["request_id"]


async def test_a_harmless_id_is_kept_in_answers_errors_and_log(scene: Scene) -> None:
    """D07: it is how the caller's own log is laid beside ours."""
    heard = await scene.ask("not-found", headers=("Connection: close", "X-Request-ID: a.b_c-1"))

    assert header_of(heard, "x-request-id") == "a.b_c-1"
    assert heard.json["request_id"] == "a.b_c-1"
    assert (await scene.settled())["request_id"] == "a.b_c-1"


@pytest.mark.parametrize(
    "header",
    [
        "traceparent: 00-x",
        "traceparent: " + "0" * 8000,
        "traceparent: ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
        "tracestate: a=b",
        "baggage: user=1",
    ],
)
async def test_a_trace_that_is_not_well_formed_is_left_out(scene: Scene, header: str) -> None:
    """D08: what crosses the gateway has been checked; a baggage may hold anything."""
    heard = await scene.ask(headers=("Connection: close", header))

    assert heard.status == 200
    names = {name.lower() for name, _ in scene.simulator.journal.last.headers}
    assert names.isdisjoint({"traceparent", "tracestate", "baggage"})


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "*", "https://ok.example.evil"])
async def test_no_page_of_another_origin_may_read(open_scene: OpenScene, origin: str) -> None:
    """D09: an exact list, never a wildcard, and never with cookies."""
    scene = await open_scene(settings={"server": {"cors_origins": ["https://ok.example"]}})
    preflight = raw_request(
        f"OPTIONS {V1} HTTP/1.1",
        f"Origin: {origin}",
        "Access-Control-Request-Method: POST",
        "Connection: close",
    )

    asked = await scene.send(preflight)
    answered = await scene.ask(headers=("Connection: close", f"Origin: {origin}"))

    assert error_of(asked) == (403, "origin_refused")
    for heard in (asked, answered):
        assert "access-control-allow" not in heard.head


DANGEROUS = {
    "Set-Cookie": "sess=theirs",
    "Location": "http://theirs.example/",
    "Server": "theirs",
    "X-Accel-Redirect": "/metrics",
    "X-Accel-Buffering": "yes",
    "X-Accel-Limit-Rate": "1",
    "Alt-Svc": 'h3=":443"',
    "openai-organization": "theirs",
    "openai-project": "theirs",
    "Access-Control-Allow-Origin": "*",
    "Strict-Transport-Security": "max-age=1",
    "WWW-Authenticate": "Basic realm=theirs",
    "X-Powered-By": "theirs",
    "Content-Disposition": "attachment; filename=theirs",
    "Refresh": "0;url=http://theirs.example",
    "Cache-Control": "public, max-age=31536000",
    "Via": "theirs",
    "Connection": "x-theirs",
}


@pytest.mark.parametrize("extra", [{}, {"error": {"status": 400}}], ids=["good", "refused"])
@pytest.mark.parametrize("path", PATHS)
async def test_of_a_providers_headers_only_known_ones_come_back(
    scene: Scene, path: str, extra: dict
) -> None:
    """D10, D11: `X-Accel-Redirect` alone would make nginx serve a file of its own."""
    headers = [[name, value] for name, value in DANGEROUS.items()]
    directive = {"http": {"headers": [*headers, ["x-ratelimit-limit", "9"]]}, **extra}

    heard = await scene.ask(directive, path)

    assert header_of(heard, "x-ratelimit-limit") == "9"
    names = {line.partition(":")[0] for line in heard.head.split("\r\n")[1:]}
    forbidden = {name.lower() for name in DANGEROUS}
    assert names & forbidden <= {"server", "cache-control", "connection", "x-accel-buffering"}
    assert "theirs" not in heard.head
    assert "no-store" in (header_of(heard, "cache-control") or "")
    assert header_of(heard, "x-accel-buffering") in {None, "no"}


@pytest.mark.parametrize("path", ["/api/keys", "/api/providers", "/v1/models", "/nothing"])
async def test_no_answer_may_be_stored(scene: Scene, path: str) -> None:
    """D11: a shared cache would give one caller's answer to another."""
    heard = await scene.send(raw_request(f"GET {path} HTTP/1.1", "Connection: close"))

    assert header_of(heard, "cache-control") == "no-store"
