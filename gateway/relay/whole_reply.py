"""Sending a reply that was collected whole.

The rule here: we notice a caller that does not read; aiohttp alone would wait for ever.
"""

import asyncio

from aiohttp import web

from gateway.core.exchange import Exchange
from gateway.relay.stalls import put_off_by_reading

# A piece that fits into the transport's buffer can be sent without waiting for the caller.
PIECE_BYTES = 64 * 1024


async def send_whole(
    request: web.BaseRequest,
    response: web.StreamResponse,
    body: bytes,
    exchange: Exchange,
    *,
    stall_s: float,
) -> bool:
    """Send a large body with its `Content-Length`; False if the caller stopped reading.

    The exchange's `bytes_out` counts what was sent, even if this is cancelled.
    """
    response.content_length = len(body)
    await response.prepare(request)
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("The caller left while the head was written.")
    try:
        for start in range(0, len(body), PIECE_BYTES):
            async with asyncio.timeout(stall_s) as deadline:
                with put_off_by_reading(deadline, transport, stall_s):
                    await response.write(body[start : start + PIECE_BYTES])
            exchange.bytes_out = min(start + PIECE_BYTES, len(body))
    except TimeoutError:
        transport.abort()
        return False
    return True
