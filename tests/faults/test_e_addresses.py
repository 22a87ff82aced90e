"""Group E: what comes from where, with a proxy in front that says so.

The rule here: the test is the proxy; what it appends is true, and all that stands before it is what
a caller made up. A real nginx is in tests/system/test_nginx_addresses.py.
"""

from typing import Any

import pytest

from gateway.auth.wrong_keys import WRONG_KEYS_PER_MINUTE
from gateway.core.gateway_key import make_key
from tests.faults.conftest import OpenScene
from tests.plugins.admin_scene import ask_with, bearer, open_stored
from tests.plugins.admin_scene import make_key as make_stored_key
from tests.plugins.scene import AUTHORIZATION, Scene, error_of

BEHIND = {"server": {"trusted_proxies": ["127.0.0.1", "10.9.0.0/16"]}}
OFFICE, HOME = "192.0.2.7", "203.0.113.9"
MADE_UP = ["", OFFICE, f"{OFFICE}, 10.9.0.1", "unknown", 'for="', "127.0.0.1", ", ,"]


async def client_of(scene: Scene, *headers: str) -> Any:
    """Who called with these headers, as the log has it."""
    assert (await ask_with(scene, AUTHORIZATION, *headers)).status == 200
    return (await scene.settled(len(scene.heard)))["client"]


async def test_a_key_for_a_network_knows_who_called(open_scene: OpenScene) -> None:
    """E11, E12: through one proxy or two, and whatever was made up before."""
    scene = await open_stored(open_scene, BEHIND)
    key = await make_stored_key(scene, "bob", networks=[f"{OFFICE}/32"])

    for made_up in MADE_UP:
        for behind in ("", ", 10.9.3.4"):
            true = f"X-Forwarded-For: {made_up}, {OFFICE}{behind}"
            false = f"X-Forwarded-For: {made_up}, {HOME}{behind}"
            assert (await ask_with(scene, bearer(key), true)).status == 200
            heard = await ask_with(scene, bearer(key), false)
            assert error_of(heard) == (403, "address_not_allowed")
    for nobody in ("unknown", "_x", "10.9.0.999"):
        heard = await ask_with(scene, bearer(key), f"X-Forwarded-For: {OFFICE}, {nobody}")
        assert error_of(heard) == (403, "address_not_allowed")


async def test_a_flood_is_held_against_who_sent_it(open_scene: OpenScene) -> None:
    """E11: not against everybody behind the proxy; and it cannot be sent from elsewhere."""
    scene = await open_stored(open_scene, BEHIND)
    told = [(401, "unauthenticated")]
    while told[-1] == (401, "unauthenticated"):  # one more is let in each second that this takes
        made_up = f"X-Forwarded-For: 198.51.100.{len(told) % 256}, {HOME}"
        told.append(error_of(await ask_with(scene, bearer(make_key()), made_up)))
    other = await ask_with(scene, bearer(make_key()), f"X-Forwarded-For: {HOME}, {OFFICE}")

    assert told[-1] == (429, "too_many_wrong_keys")
    assert len(told) > WRONG_KEYS_PER_MINUTE
    assert error_of(other) == (401, "unauthenticated")


async def test_the_log_says_who_called(open_scene: OpenScene) -> None:
    """D06: and the standard header counts where the usual one is not there."""
    scene = await open_stored(open_scene, BEHIND)

    assert await client_of(scene) == "127.0.0.1"
    assert await client_of(scene, f"X-Forwarded-For: 6.6.6.6, {HOME}") == HOME
    assert await client_of(scene, f"Forwarded: for=6.6.6.6, for={HOME};proto=https") == HOME
    assert await client_of(scene, f"Forwarded: for={OFFICE}", f"X-Forwarded-For: {HOME}") == HOME
    assert await client_of(scene, "X-Forwarded-For: [2001:DB8::7]:443") == "2001:db8::7"
    assert await client_of(scene, "X-Forwarded-For: x") == "unknown"


@pytest.mark.parametrize("proxies", [[], ["10.9.0.0/16"]], ids=str)
async def test_a_header_of_a_stranger_is_not_believed(
    open_scene: OpenScene, proxies: list[str]
) -> None:
    """D06: whoever calls without a proxy could write it too."""
    scene = await open_stored(open_scene, {"server": {"trusted_proxies": proxies}})
    key = await make_stored_key(scene, "bob", networks=[f"{OFFICE}/32"])

    for header in (f"X-Forwarded-For: {OFFICE}", f"Forwarded: for={OFFICE}"):
        heard = await ask_with(scene, bearer(key), header)
        assert error_of(heard) == (403, "address_not_allowed")


async def test_without_auth_a_call_through_a_proxy_is_a_stranger_s(open_scene: OpenScene) -> None:
    """E11: also where the proxy is trusted and says that the caller is of this machine."""
    scene = await open_scene(settings={**BEHIND, "auth": None}, recovers=False)

    for header in ("X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: ::1"):
        assert error_of(await ask_with(scene, header)) == (401, "unauthenticated")
    assert (await ask_with(scene)).status == 200
