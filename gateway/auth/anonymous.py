"""Callers without a key.

The rule here: a caller with a wrong key is told so and not let in as anonymous. The loop over all
methods (`middleware.authenticate`) takes care of that.
"""

from aiohttp import web

from gateway.core.identity import ANONYMOUS, Principal


class Anonymous:
    """Accepts everybody."""

    wanted = ""

    async def recognise(self, request: web.Request, key: str | None) -> Principal:  # noqa: ARG002 - it wants nothing
        """The anonymous principal."""
        return ANONYMOUS
