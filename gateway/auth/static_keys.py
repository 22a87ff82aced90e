"""Keys in gateway.yaml, each written as its SHA-256.

The rule here: a key is looked up by its digest, so timing reveals nothing about the key.
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
    """The keys of one entry; any key that was sent may be meant for it."""

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
    """A key as written in gateway.yaml."""
    # aiohttp decodes bytes that are not UTF-8 as surrogates; this restores the same bytes.
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()}"
