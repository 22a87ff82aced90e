"""Who called, behind each reverse proxy with the configuration that ships.

The rule here: callers come from different addresses of this machine, so that the proxy sees them
so; what they say of themselves is believed nowhere.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import ClientSession, TCPConnector

from gateway.app import KEYS
from gateway.auth.wrong_keys import WRONG_KEYS_PER_MINUTE
from gateway.core.gateway_key import make_key
from gateway.simulator import Simulator
from tests.plugins.gateway import Gateway, StartGateway
from tests.plugins.proxies.row import (
    CHAT,
    V1,
    OpenBehind,
    entry_of,
    listening,
    only_linux,
    send,
)
from tests.plugins.proxies.running import Proxy
from tests.plugins.raw_caller import request_bytes
from tests.plugins.scene import (
    AUTHORIZATION,
    GATEWAY_KEY,
    MESSAGES,
    error_of,
    eventually,
    raw_request,
)
from tests.plugins.signed_in import COOKIE_AUTH, COOKIE_ENVIRON, cookie_of
from tests.plugins.stored_keys import new_key

pytestmark = only_linux()

OFFICE, HOME = "127.0.0.9", "127.0.0.8"
QUESTION = {"model": "sim/plain", "messages": MESSAGES}
MADE_UP: tuple[dict[str, str], ...] = (
    {"X-Forwarded-For": OFFICE},
    {"X-Forwarded-For": f"{OFFICE}, {OFFICE}"},
    {"X-Forwarded-For": OFFICE, "Connection": "close, X-Forwarded-For"},
    {"X_Forwarded_For": OFFICE},
    {"Forwarded": f"for={OFFICE}"},
    {"Forwarded": f"for={OFFICE}", "Connection": "close, X-Forwarded-For"},
    {"X-Real-IP": OFFICE},
)


async def make_office_key(gateway: Gateway) -> str:
    """A key for the office alone."""
    opened = gateway.service.app[KEYS]
    key, stored = new_key(opened.peppers, networks=(f"{OFFICE}/32",))
    await opened.store.save_key(stored)
    gateway.secrets.append(key)
    return key


async def ask(
    proxy: Proxy, key: str, address: str, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Status and code of a question that comes from an address."""
    async with (
        ClientSession(connector=TCPConnector(local_addr=(address, 0))) as session,
        session.post(
            f"{proxy.url}{V1}",
            json=QUESTION,
            headers={"Authorization": f"Bearer {key}", **(headers or {})},
        ) as reply,
    ):
        return reply.status, (await reply.json()).get("error", {}).get("code")


async def test_the_address_that_the_proxy_saw_is_the_caller_s(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """E11, D06: for a key's networks, the limit of wrong keys and the log."""
    gateway = await behind(auth=[{"kind": "gateway_key"}], trusted_proxies=["127.0.0.1"])
    key = await make_office_key(gateway)

    assert await ask(proxy, key, OFFICE) == (200, None)
    for headers in MADE_UP:
        assert await ask(proxy, key, HOME, headers) == (403, "address_not_allowed"), headers
    told = (401, "unauthenticated")
    while told == (401, "unauthenticated"):  # one more is let in each second that this takes
        told = await ask(proxy, make_key(), HOME)
    assert told == (429, "too_many_wrong_keys")
    assert await ask(proxy, make_key(), OFFICE) == (401, "unauthenticated")

    first, *others, last = (line["client"] for line in gateway.log.settled)
    assert (first, set(others), last) == (OFFICE, {HOME}, OFFICE)
    assert len(others) >= len(MADE_UP) + WRONG_KEYS_PER_MINUTE + 1


async def test_without_the_setting_the_proxy_itself_called(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """D06: what a header says is nobody's word then."""
    gateway = await behind(auth=[{"kind": "gateway_key"}])
    key = await make_office_key(gateway)

    for headers in ({}, *MADE_UP):
        assert await ask(proxy, key, OFFICE, headers) == (403, "address_not_allowed"), headers

    assert {line["client"] for line in gateway.log.settled} == {"127.0.0.1"}


async def test_without_auth_nobody_is_let_in_through_a_proxy(
    behind: OpenBehind, proxy: Proxy
) -> None:
    """A gateway on loopback trusts its own machine; behind a proxy everybody comes from there.

    Who has the header taken out that says so (`Connection` names what ends at the next hop) is a
    stranger all the same.
    """
    await behind(auth=None)
    taken_out = "Connection: close, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Forwarded"

    for own in ("Connection: close", taken_out):
        for host in ("localhost", "127.0.0.1"):
            raw = raw_request("GET /v1/models HTTP/1.1", own, authorized=False)
            heard = await send(proxy, raw.replace(b"Host: 127.0.0.1", f"Host: {host}".encode()))
            assert error_of(heard) == (401, "unauthenticated"), own
            assert "auth: [{kind: gateway_key, keys: {alice:" in heard.json["error"]["message"]


async def test_a_page_of_the_gateway_s_own_origin_is_known_again(
    start_gateway: StartGateway, simulator: Simulator, proxy: Proxy
) -> None:
    """It was called at a port; a proxy that passes on the bare name makes it another's page."""
    gateway = await start_gateway(
        providers={"sim": entry_of(simulator.base_url)},
        settings={"auth": [COOKIE_AUTH], "server": listening(proxy)},
        environ=COOKIE_ENVIRON,
    )
    cookie = cookie_of("ann")
    gateway.secrets.append(cookie)
    host = f"chat.example.org:{proxy.port}"
    own = ("Connection: close", f"Origin: http://{host}", f"Cookie: {cookie}")
    body = {"chatSettings": {"model": "plain"}, "messages": MESSAGES}
    raw = request_bytes(CHAT, body, headers=own)

    heard = await send(proxy, raw.replace(b"Host: gateway", f"Host: {host}".encode()))
    other = await send(proxy, raw.replace(b"Host: gateway", b"Host: chat.example.org"))

    assert heard.status == 200
    assert error_of(other) == (401, "unauthenticated")


async def test_no_log_of_a_proxy_holds_a_key(behind: OpenBehind, proxy: Proxy) -> None:
    """L01: Caddy writes down what is in each header, and masks those that it knows."""
    await behind()

    for header in (f"X-Api-Key: {GATEWAY_KEY}", AUTHORIZATION):
        raw = raw_request("GET /v1/models HTTP/1.1", "Connection: close", header, authorized=False)
        assert (await send(proxy, raw)).status == 200
        # And by the proxy itself, which writes down that it has refused.
        refused = await send(proxy, raw.replace(b"/v1/models", b"/for-the-log"))
        assert refused.status == 404

    if proxy.kind.part in {"caddy", "haproxy"}:  # the others' say nothing of it here
        await eventually(lambda: proxy.log.count("/for-the-log") == 2, "both are in the log")
    assert GATEWAY_KEY not in proxy.log
