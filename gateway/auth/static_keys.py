"""Keys written into gateway.yaml, each as its SHA-256.

The rule here: a key is found by its digest, so how long that takes says nothing about the key.
"""

import hashlib

from aiohttp import web

from gateway.auth.method import Refusal
from gateway.config.key_hashes import names_by_digest
from gateway.config.settings import GatewayKeyAuth
from gateway.core.identity import Principal

WANTED = (
    "A key of this gateway is needed, as `Authorization: Bearer <key>`; "
    "none was sent, or one that it does not know."
)
UNKNOWN = Refusal(WANTED, is_vague=True)


class StaticKeys:
    """The keys of one entry; any word that was sent as a key may be meant for it."""

    wanted = WANTED

    def __init__(self, spec: GatewayKeyAuth) -> None:
        self._principals = {
            digest: Principal(name, "gateway_key")
            for digest, name in names_by_digest(spec.keys).items()
        }

    async def recognise(self, request: web.Request, key: str | None) -> Principal | Refusal | None:  # noqa: ARG002 - a key is all it wants
        """Who holds the key."""
        if key is None:
            return None
        return self._principals.get(digest_of(key), UNKNOWN)


def digest_of(key: str) -> str:
    """What gateway.yaml holds of a key."""
    # aiohttp keeps bytes that are not UTF-8 as surrogates; they become the same bytes again.
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()}"
