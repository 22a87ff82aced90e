"""Group E: secrets that are none, found before anything listens.

The rule here: what is wrong is said with the name of the setting, and nothing of its value.
"""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from gateway.config.problems import ConfigError
from gateway.stores.errors import StoreError
from tests.plugins.gateway import StartGateway

EMPTY = f"sha256:{hashlib.sha256(b'').hexdigest()}"
JWT = {"kind": "jwt", "issuer": "https://issuer.example", "audience": "a", "algorithms": ["HS256"]}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"auth": [{"kind": "gateway_key", "keys": {"alice": EMPTY}}]},
            "auth[0].keys.alice: gives alice",
        ),
        (
            {"admin": {"keys": {"ops": EMPTY}}},
            "admin.keys.ops: gives ops the hash",
        ),
        ({"auth": [{"kind": "gateway_key", "keys": {}}]}, "auth[0].keys: is empty"),
        ({"admin": {"keys": {}}}, "admin.keys: is empty"),
        ({"auth": [{**JWT, "secret": "${EMPTY}"}]}, "auth[0].secret: needs ${EMPTY}"),
        ({"auth": [{**JWT, "secret": "${SHORT}"}]}, "auth[0].secret"),
    ],
    ids=str,
)
async def test_an_empty_secret_does_not_start(
    start_gateway: StartGateway, settings: dict[str, Any], says: str
) -> None:
    """E15: an HMAC with an empty key verifies, and everybody has the hash of nothing."""
    environ = {"EMPTY": "", "SHORT": "canary"}

    with pytest.raises(ConfigError) as caught:
        await start_gateway(
            providers={"sim": {"base_url": "https://api.example.org/v1"}},
            settings=settings,
            environ=environ,
        )

    assert says in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("pepper", ["", "1:\n", "1:canary\n"])
async def test_an_empty_pepper_does_not_start(
    start_gateway: StartGateway, tmp_path: Path, pepper: str
) -> None:
    """E15: with it, a copy of the database tells whose key is in it."""
    file = tmp_path / "pepper"
    file.write_text(pepper)
    stores = {
        "database": f"sqlite:///{tmp_path / 'gateway.db'}",
        "peppers": {"1": f"file:{file}"},
    }

    with pytest.raises(StoreError) as caught:
        await start_gateway(
            providers={"sim": {"base_url": "https://api.example.org/v1"}},
            settings={"auth": [{"kind": "gateway_key"}], "stores": stores},
        )

    assert "stores.peppers" in str(caught.value)
    assert "canary" not in str(caught.value)
