"""Keys in gateway.yaml are known by their SHA-256."""

from aiohttp.test_utils import make_mocked_request

from gateway.auth.method import Refusal
from gateway.auth.static_keys import StaticKeys, digest_of
from gateway.config.settings import GatewayKeyAuth
from gateway.core.identity import Principal

REQUEST = make_mocked_request("GET", "/")
KEYS = StaticKeys(GatewayKeyAuth(kind="gateway_key", keys={"alice": digest_of("k\udcff")}))


async def test_a_key_is_known_by_all_of_its_bytes() -> None:
    """Also by those that are no UTF-8."""
    assert await KEYS.recognise(REQUEST, "k\udcff") == Principal("alice", "gateway_key")


async def test_another_key_may_be_another_method_s() -> None:
    """So the refusal gives way to one that knows better."""
    found = await KEYS.recognise(REQUEST, "k")

    assert isinstance(found, Refusal)
    assert found.is_vague


async def test_no_key_is_nothing_wrong() -> None:
    """Who shows nothing may be recognised by something else."""
    assert await KEYS.recognise(REQUEST, None) is None
