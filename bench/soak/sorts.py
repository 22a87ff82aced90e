"""The sorts of exchanges: what is asked, what the caller does, and what must come of it.

The rule here: a sort says what the ledger has to say of it, so that books can be held against it.
"""

import json
import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.soak.options import Options

V1, CHAT = "/v1/chat/completions", "/api/chat/sim"
SHARE = 0.02  # of each fault
TOKENS_IN = 10
LARGE_CHARS = 4_000  # of a token that a slow reader gets: no buffer holds the whole answer


class Act(StrEnum):
    """What the caller does with the answer."""

    READ = "read"
    HANG_UP = "hang up"
    DAWDLE = "read slowly"


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort of exchange."""

    name: str
    path: str
    outcome: str  # in the ledger
    act: Act = Act.READ
    status: int = 200
    is_whole: bool = True  # the answer
    stream: bool = True


PLAIN = Sort("v1 stream", V1, "finished")
TEXT = Sort("chat stream", CHAT, "finished")
DOCUMENT = Sort("v1 document", V1, "finished", stream=False)
HANG_UP = Sort("hang-up", V1, "client_gone", Act.HANG_UP, is_whole=False)
RESET = Sort("upstream reset", V1, "upstream_failed", is_whole=False)
SLOW = Sort("slow reader", V1, "finished", Act.DAWDLE)
REFUSED = Sort("upstream 503", V1, "upstream_failed", status=503, stream=False)

FAULTS = (HANG_UP, RESET, SLOW, REFUSED)
SORTS = (PLAIN, TEXT, DOCUMENT, *FAULTS)
_WEIGHTS = (0.6, 0.3, 0.1 - len(FAULTS) * SHARE, *(SHARE for _ in FAULTS))


def choose_sort() -> Sort:
    """One of them, as often as its share."""
    return random.choices(SORTS, _WEIGHTS)[0]  # noqa: S311 - no secret


def build_body(sort: Sort, name: str, options: Options) -> bytes:
    """The request; the name is in its message, which reaches the provider in both dialects."""
    messages = [{"role": "user", "content": name}]
    directive = _directive(sort, options)
    if sort.path == CHAT:
        model = f"sim:{json.dumps(directive, separators=(',', ':'))}"
        return json.dumps({"chatSettings": {"model": model}, "messages": messages}).encode()
    body = {"model": "sim/m", "messages": messages, "stream": sort.stream, "simulate": directive}
    return json.dumps(body).encode()


def _directive(sort: Sort, options: Options) -> dict[str, Any]:
    usual = {"count": options.chunks, "gap_s": options.gap_s, "prompt_tokens": TOKENS_IN}
    if sort is DOCUMENT:
        return {**usual, "gap_s": 0}
    if sort is RESET:
        return {**usual, "cut": {"after_tokens": options.chunks // 2, "by": "rst"}}
    if sort is HANG_UP:  # it must not end before the caller has left, however late that is
        return {**usual, "stall": {"after_tokens": options.chunks // 2}}
    if sort is SLOW:
        return {**usual, "gap_s": 0, "template": "x" * LARGE_CHARS}
    if sort is REFUSED:
        return {"error": {"status": 503}}
    return usual
