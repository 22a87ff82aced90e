"""The entry `gateway_key` without `keys`: callers' keys are in the database.

The rule here: the database knows who holds which key; this only asks `StoredKeys`.
"""

from aiohttp import web

from gateway.auth.method import Refusal
from gateway.auth.static_keys import UNKNOWN, WANTED
from gateway.auth.stored_keys import StoredKeys
from gateway.core.identity import Principal
from gateway.plugins.api import EXCHANGE


class StoredKeyMethod:
    """Keys in the database; any key that was sent may be one of them."""

    wanted = WANTED

    def __init__(self, keys: StoredKeys) -> None:
        self._keys = keys

    async def recognise(self, request: web.Request, key: str | None) -> Principal | Refusal | None:
        """Who holds the key."""
        if key is None:
            return None
        return await self._keys.recognise(key, request[EXCHANGE].client_address) or UNKNOWN
