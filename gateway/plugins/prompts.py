"""What a request asks: the messages of its body, which `read_request` has read.

The rule here: where they are not known, or known no more, that is an error and never an empty
list, which would look like a prompt with nothing wrong in it.
"""

from typing import Any

import msgspec
from aiohttp import web

from gateway.plugins.keys import CALL, HELD_BODY, PROMPT, RELAYED_ROUTES, Prompt
from gateway.wire.chat_request import ChatRequest

TOO_FAR_OUT = (
    "The messages are not known yet; the place of a middleware that reads them is "
    "`after: read_request`, or further in."
)
TOO_LATE = "The messages are known until the handler is called; read them before."

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


async def read_messages(request: web.Request) -> list[dict[str, Any]]:
    """The messages that a request for an answer carries, decoded anew for each who asks.

    Each has a `role`; its `content` is what the caller wrote: text, or a list of parts, or nothing
    where a tool was called. A request for anything else has none. RuntimeError further out than
    `read_request`, and after the handler was called.
    """
    prompt = request.get(PROMPT)
    if prompt is None:
        if request.match_info.route.name not in RELAYED_ROUTES:
            return []
        raise RuntimeError(TOO_LATE if CALL in request else TOO_FAR_OUT)
    return await request[HELD_BODY].bodies.parse(_decode, messages_of(prompt))


def messages_of(prompt: Prompt) -> bytes:
    """The same as JSON, as they go to the provider."""
    return prompt.messages if isinstance(prompt, ChatRequest) else prompt.fields["messages"]
