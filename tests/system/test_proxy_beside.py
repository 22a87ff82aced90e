"""A site that was there before, with the gateway below a path of it.

The rule here: whatever is not below that path is as it was, errors as well.
"""

import pytest

from tests.plugins.proxies.plan import OTHER_SITE
from tests.plugins.proxies.row import BELOW, CHAT, NAMES, V1, OpenBehind, only_linux, send
from tests.plugins.proxies.running import Proxy
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import error_of, header_of, raw_request

pytestmark = only_linux()

LIMIT = 32 * 1024 * 1024
ELSEWHERE = ("/nothing", "/v1/models", "/v1", "/api/keys", "/llms/v1/models", V1, CHAT)


async def ask(proxy: Proxy, path: str, *headers: str) -> Heard:
    """A question to the other site."""
    raw = raw_request(f"GET {path} HTTP/1.1", "Connection: close", *headers)
    return await send(proxy, raw, port=proxy.beside_port)


async def test_the_other_site_answers_as_it_did(behind: OpenBehind, proxy: Proxy) -> None:
    """Its pages, and its own 404 for what it has not, also where the gateway has such a path."""
    gateway = await behind()

    pages = [await ask(proxy, path) for path in ("/", "/index.html")]
    missing = [await ask(proxy, path) for path in ELSEWHERE]

    assert [(heard.status, heard.body.decode()) for heard in pages] == [(200, OTHER_SITE)] * 2
    for heard in missing:
        assert heard.status == 404
        assert header_of(heard, "content-type") != "application/json"
        assert header_of(heard, "x-request-id") is None
        assert b"gateway" not in heard.raw
    assert gateway.log.settled == []


async def test_the_gateway_s_part_has_the_gateway_s_errors(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """Those of the gateway, and those of the proxy: what it is asked for too much of."""
    gateway = await behind()

    found = await ask(proxy, f"{BELOW}/v1/models")
    missing = await ask(proxy, f"{BELOW}/v1/nothing")

    assert found.status == 200
    assert error_of(missing) == (404, "not_found")
    assert [line["path"] for line in gateway.log.settled] == ["/v1/models", "/v1/nothing"]


@pytest.mark.parametrize(
    "proxy", [name for name in NAMES if name.startswith(("haproxy", "caddy"))], indirect=True
)
async def test_what_the_other_site_takes_is_not_the_gateway_s_to_limit(proxy: Proxy) -> None:
    """People upload files there. nginx has a limit of its own, and Apache waits for the body."""
    announced = f"Content-Length: {LIMIT + 1}"
    # Caddy 2.11 waits for a body that nobody wants, unless nothing is to follow it.
    raw = raw_request("POST /upload HTTP/1.1", announced, "Connection: close")

    async with Caller(proxy.beside_port, host=proxy.host) as caller:
        await caller.send(raw)
        heard = await caller.read_answer()

    assert heard.status in {404, 405}
    assert header_of(heard, "content-type") != "application/json"
