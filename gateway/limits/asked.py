"""What a request asks for, as far as limits look at it.

The rule here: an estimate costs no parsing. It is set aside for as long as the answer takes, and
what the provider counts takes its place.
"""

import re
from collections.abc import Iterable, Mapping

import msgspec
from aiohttp import web

from gateway.core.errors import InvalidRequestError
from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import ANONYMOUS
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, PROMPT, Call
from gateway.wire.chat_request import ChatRequest
from gateway.wire.completions_request import OUTPUT_FIELDS

BYTES_PER_TOKEN = 4
# An image is billed by its size in pixels, which its bytes do not tell: the usual figure.
TOKENS_PER_MEDIUM = 1_000

# Where a string begins that is no prose: a data URL, or the `data` of an audio part.
_MEDIUM = re.compile(rb'"data(?:":\s*"|:)')
_SMALL_BYTES = 2_048  # an image in so few bytes is not worth looking for

_decode = msgspec.json.Decoder().decode


class Asked(msgspec.Struct, frozen=True):
    """One request for an answer."""

    principal: str
    tenant: str
    groups: tuple[str, ...]
    provider: str
    model: str
    body_bytes: int
    prompt_tokens: int  # estimated
    output_tokens: int | None  # at most, for each choice; None: nothing caps it
    asked_output_tokens: int | None  # the same, as the caller wrote it
    choices: int


def read_asked(request: web.Request) -> Asked:
    """What a request asks for; the chain has read it and knows who calls."""
    exchange, call, prompt = request[EXCHANGE], request[CALL], request[PROMPT]
    principal = exchange.principal or ANONYMOUS
    if isinstance(prompt, ChatRequest):
        prompt_tokens = estimate_tokens([prompt.messages])
        asked_output, output, choices = None, _registry_cap(call), 1
    else:
        fields = prompt.fields
        prompt_tokens = estimate_tokens(fields.values())
        asked_output = _read_output(fields)
        output = _with_registry_cap(call, asked_output)
        choices = _decode(fields["n"]) or 1 if "n" in fields else 1
    return Asked(
        principal=principal.name,
        tenant=principal.tenant,
        groups=principal.groups,
        provider=call.provider.name,
        model=call.model,
        body_bytes=exchange.bytes_in,
        prompt_tokens=prompt_tokens,
        output_tokens=output,
        asked_output_tokens=asked_output,
        choices=choices,
    )


def estimate_tokens(texts: Iterable[bytes]) -> int:
    """Tokens of JSON texts, at four bytes each; pictures and sound count flat."""
    tokens = 0
    for text in texts:
        media, media_bytes = _find_media(text) if len(text) > _SMALL_BYTES else (0, 0)
        tokens += (len(text) - media_bytes) // BYTES_PER_TOKEN + media * TOKENS_PER_MEDIUM
    return tokens or 1


def tokens_used(exchange: Exchange, prompt_tokens: int) -> int:
    """What a settled exchange has used: the provider's count, and our estimate of what it left out.

    Nothing where nothing was sent, or where the provider failed and counted nothing. Who left
    before there was an answer has had their prompt read.
    """
    usage = exchange.usage
    if usage is not None:
        tokens_in = prompt_tokens if usage.tokens_in is None else usage.tokens_in
        return tokens_in + (usage.tokens_out or 0)
    if not exchange.attempts or exchange.outcome in {Outcome.UPSTREAM_FAILED, Outcome.REJECTED}:
        return 0
    return prompt_tokens + exchange.bytes_out // BYTES_PER_TOKEN


def _find_media(text: bytes) -> tuple[int, int]:
    count = size = at = 0
    while (found := _MEDIUM.search(text, at)) is not None:
        at = text.find(b'"', found.end())
        if at < 0:
            break
        count += 1
        size += at - found.start()
    return count, size


def _registry_cap(call: Call) -> int | None:
    """What the gateway itself asks for on `/api/chat`."""
    if "max_tokens" not in call.provider.params.send:
        return None
    known = call.provider.find_model(call.model)
    return call.provider.max_output if known is None else known.max_output


def _read_output(fields: Mapping[str, bytes]) -> int | None:
    """The larger of the two fields that cap an answer."""
    largest: int | None = None
    for name in OUTPUT_FIELDS:
        value = _decode(fields[name]) if name in fields else None
        if value is None:
            continue
        if type(value) is not int or value < 0:
            # A provider may read "100" or 1e9 in its own way, and then a limit is none.
            raise InvalidRequestError(f"`{name}` has to be a whole number.", param=name)
        largest = value if largest is None else max(largest, value)
    return largest


def _with_registry_cap(call: Call, asked: int | None) -> int | None:
    if asked is None:
        return None
    caps = call.provider.params.cap
    return min([asked, *(int(caps[name]) for name in OUTPUT_FIELDS if name in caps)])
