"""A middleware of the gateway's under test: what only the process itself knows.

The rule here: it answers one path that nobody else asks for, and passes on the rest.
"""

import asyncio
import os
import sys

from aiohttp import web
from aiohttp.typedefs import Handler

PATH = "/soak"


@web.middleware
async def show_inside(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say how many tasks and blocks of memory there are."""
    if request.path != PATH:
        return await handler(request)
    inside = {
        "pid": os.getpid(),
        "tasks": len(asyncio.all_tasks()),
        "blocks": sys.getallocatedblocks(),
    }
    return web.json_response(inside)
