"""Callers who show nothing.

The rule here: who shows something that is wrong is told of it, and is not let in as nobody; that
is for the loop over all methods to see (`middleware.authenticate`).
"""

from aiohttp import web

from gateway.core.identity import ANONYMOUS, Principal


class Anonymous:
    """Everybody."""

    wanted = ""

    async def recognise(self, request: web.Request, key: str | None) -> Principal:  # noqa: ARG002 - it wants nothing
        """Nobody in particular."""
        return ANONYMOUS
