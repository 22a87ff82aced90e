"""Sending a reply that was held whole.

The rule here: a caller that does not read is noticed; aiohttp by itself would wait for ever.
"""

import asyncio

from aiohttp import web

PIECE_BYTES = 64 * 1024


async def send_whole(
    request: web.BaseRequest, response: web.StreamResponse, body: bytes, *, stall_s: float
) -> bool:
    """Send head and body with a `Content-Length`; False when the caller stopped reading."""
    response.content_length = len(body)
    if len(body) <= PIECE_BYTES:
        # Fits into the transport's buffer: one write with the head, nothing to wait for.
        await response.prepare(request)
        await response.write(body)
        return True
    await response.prepare(request)
    try:
        for start in range(0, len(body), PIECE_BYTES):
            async with asyncio.timeout(stall_s):
                await response.write(body[start : start + PIECE_BYTES])
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        return False
    return True
