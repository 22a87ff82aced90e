"""What a request asks for, as far as it matters to limits.

The rule here: nothing is parsed except the numbers that cap the length of the answer.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

import msgspec

from gateway.config.registry import Provider
from gateway.core.cost import Price
from gateway.core.errors import InvalidRequestError
from gateway.core.exchange import Exchange
from gateway.core.identity import ANONYMOUS
from gateway.core.key_holder import parse_address
from gateway.plugins.keys import Call, Prompt
from gateway.wire.chat_request import ChatRequest
from gateway.wire.completions_request import OUTPUT_FIELDS

_decode = msgspec.json.Decoder().decode


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One request for an answer."""

    principal: str
    tenant: str
    groups: tuple[str, ...]
    provider: str
    model: str
    body_bytes: int
    prompt_tokens: int  # estimated
    output_tokens: int | None  # the most for each choice; None if nothing caps it
    asked_output_tokens: int | None  # the cap that the caller set
    choices: int
    output_field: str = OUTPUT_FIELDS[0]  # the field in which the caller set it
    key: str = ""  # the gateway's own key that the caller sent; empty if none
    client_address: str = ""
    price: Price | None = None
    is_anonymous: bool = False
    asked_of: Provider | None = None  # which knows how long its models' answers get

    @property
    def address(self) -> str:
        """The address as rules for addresses count it."""
        return count_address(self.client_address)


def read_asked(exchange: Exchange, call: Call, prompt: Prompt) -> Asked:
    """What a request asks for, once the chain has read it and knows who is calling."""
    principal = exchange.principal or ANONYMOUS
    if isinstance(prompt, ChatRequest):
        asked_output, output, choices = None, _registry_cap(call), 1
        output_field = OUTPUT_FIELDS[0]
    else:
        fields = prompt.fields
        asked_output, output_field = _read_output(fields)
        output = _with_registry_cap(call, asked_output)
        choices = _decode(fields["n"]) or 1 if "n" in fields else 1
    return Asked(
        principal=principal.name,
        tenant=principal.tenant,
        groups=principal.groups,
        provider=call.provider.name,
        model=exchange.model,  # the redacted name: a caller may have put a key in its place
        body_bytes=exchange.bytes_in,
        prompt_tokens=exchange.prompt_tokens,
        output_tokens=output,
        asked_output_tokens=asked_output,
        choices=choices,
        output_field=output_field,
        key=principal.name if principal.kind == "gateway_key" else "",
        client_address=exchange.client_address,
        price=exchange.price,
        is_anonymous=principal.kind == "anonymous",
        asked_of=call.provider,
    )


@lru_cache(maxsize=4096)
def count_address(client_address: str) -> str:
    """An address as it is counted: for IPv6 its /64 network, as a household gets a whole one."""
    address = parse_address(client_address)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), 64), strict=False))
    return client_address if address is None else str(address)


def _registry_cap(call: Call) -> int | None:
    """The cap that the gateway itself sends for `/api/chat`."""
    if "max_tokens" not in call.provider.params.send:
        return None
    return call.provider.max_output_of(call.model)


def _read_output(fields: Mapping[str, bytes]) -> tuple[int | None, str]:
    """The larger of the two fields that cap an answer, and its name; 0 means no cap."""
    largest, largest_name = 0, OUTPUT_FIELDS[0]
    for name in OUTPUT_FIELDS:
        value = _decode(fields[name]) if name in fields else None
        if value is None:
            continue
        if type(value) is not int or value < 0:
            # A provider may read "100" or 1e9 in its own way, which would defeat the limit.
            message = f"`{name}` has to be a whole number of 0 or more."
            raise InvalidRequestError(message, param=name)
        if value > largest:
            largest, largest_name = value, name
    return largest or None, largest_name


def _with_registry_cap(call: Call, asked: int | None) -> int | None:
    if asked is None:
        return None
    caps = call.provider.params.cap
    return min([asked, *(int(caps[name]) for name in OUTPUT_FIELDS if name in caps)])
