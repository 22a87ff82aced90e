"""Who called, behind a real nginx with the configuration that ships.

The rule here: callers come from different addresses of this machine, so that nginx sees them so.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from gateway.app import KEYS
from gateway.auth.wrong_keys import WRONG_KEYS_PER_MINUTE
from gateway.core.gateway_key import make_key
from gateway.simulator import Simulator
from tests.plugins.gateway import Gateway, StartGateway
from tests.plugins.nginx import Nginx, StartNginx
from tests.plugins.stored_keys import new_key

pytestmark = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="only Linux has all of 127.0.0.0/8"
)

OFFICE, HOME = "127.0.0.9", "127.0.0.8"
QUESTION = {"model": "sim/m", "messages": [{"role": "user", "content": "Hi"}]}


async def open_gateway(
    start_gateway: StartGateway, simulator: Simulator, *proxies: str
) -> tuple[Gateway, str]:
    """A gateway that trusts these proxies, and a key for the office alone."""
    gateway = await start_gateway(
        providers={
            "sim": {
                "base_url": simulator.base_url,
                "allow_private": True,
                "auth": {"required": False},
            }
        },
        settings={
            "auth": [{"kind": "gateway_key"}],
            "server": {"trusted_proxies": list(proxies)},
        },
    )
    opened = gateway.service.app[KEYS]
    key, stored = new_key(opened.peppers, networks=(f"{OFFICE}/32",))
    await opened.store.save_key(stored)
    gateway.secrets.append(key)
    return gateway, key


async def ask(nginx: Nginx, key: str, address: str, **headers: str) -> tuple[int, Any]:
    """Status and code of a question that comes from an address."""
    connector = TCPConnector(local_addr=(address, 0))
    async with (
        ClientSession(connector=connector) as session,
        session.post(
            f"{nginx.url}/v1/chat/completions",
            data=json.dumps(QUESTION),
            headers={"Authorization": f"Bearer {key}", **headers},
        ) as reply,
    ):
        return reply.status, (await reply.json()).get("error", {}).get("code")


async def test_the_address_that_nginx_saw_is_the_caller_s(
    start_gateway: StartGateway, simulator: Simulator, start_nginx: StartNginx
) -> None:
    """For a key's networks, the limit of wrong keys and the log; whatever the caller says (E11)."""
    gateway, key = await open_gateway(start_gateway, simulator, "127.0.0.1")
    nginx = start_nginx(gateway.port)

    assert await ask(nginx, key, OFFICE) == (200, None)
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        made_up = f"for={OFFICE}" if header == "Forwarded" else OFFICE
        assert await ask(nginx, key, HOME, **{header: made_up}) == (403, "address_not_allowed")
    told = (401, "unauthenticated")
    while told == (401, "unauthenticated"):  # one more is let in each second that this takes
        told = await ask(nginx, make_key(), HOME)
    assert told == (429, "too_many_wrong_keys")
    assert await ask(nginx, make_key(), OFFICE) == (401, "unauthenticated")

    first, *others, last = (line["client"] for line in gateway.log.settled)
    assert (first, set(others), last) == (OFFICE, {HOME}, OFFICE)
    assert len(others) >= 3 + WRONG_KEYS_PER_MINUTE + 1


async def test_without_the_setting_nginx_itself_called(
    start_gateway: StartGateway, simulator: Simulator, start_nginx: StartNginx
) -> None:
    """What a header says is nobody's word then."""
    gateway, key = await open_gateway(start_gateway, simulator)
    nginx = start_nginx(gateway.port)

    assert await ask(nginx, key, OFFICE) == (403, "address_not_allowed")
    assert gateway.log.settled[-1]["client"] == "127.0.0.1"
