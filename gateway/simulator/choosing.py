"""Which directive a request gets: carried by the request itself, or scripted before it came.

The rule here: header, then body field, then model name, then script; the first there is, counts.
"""

from __future__ import annotations

import functools
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.simulator.directive import Directive
from gateway.simulator.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.simulator.asking import Request

HEADER = "x-simulate"
FIELD = "simulate"
MODEL_PREFIX = "sim:"
# Sequences under way that requests carry; the oldest is forgotten first.
MAX_SEQUENCES = 1000


class DirectiveError(ValueError):
    """A directive that cannot be read; the text says where and why."""


def read_directive(wish: object) -> Directive:
    """A directive from a preset's name, JSON text, or a decoded JSON object.

    DirectiveError, which says what is wrong and where.
    """
    if isinstance(wish, Directive):
        return wish
    if isinstance(wish, str):
        return _read_text(wish)
    if isinstance(wish, dict):
        return _convert(wish)
    raise DirectiveError("A directive is the name of a preset or a JSON object.")


@functools.lru_cache(maxsize=512)
def _read_text(text: str) -> Directive:
    """Texts repeat, under load thousands of times: they are read once."""
    if not text.lstrip().startswith("{"):
        return _convert({"preset": text.strip()})
    try:
        return _convert(msgspec.json.decode(text))
    except msgspec.DecodeError as error:
        raise DirectiveError(f"The directive is not JSON: {error}.") from error
    except RecursionError as error:
        raise DirectiveError("The directive is nested too deep.") from error


def _convert(wish: dict[str, Any]) -> Directive:
    try:
        return msgspec.convert(_expand(wish), Directive)
    except msgspec.ValidationError as error:
        raise DirectiveError(f"The directive is not right: {error}.") from error


def _expand(wish: dict[str, Any]) -> dict[str, Any]:
    """The directive with its preset's fields under its own, in `then` as well."""
    name = wish.get("preset") or ""
    if name and name not in PRESETS:
        raise DirectiveError(f"There is no preset {name!r}; GET /v1/models lists them.")
    merged = _merge(PRESETS[name], wish) if name else dict(wish)
    if isinstance(merged.get("then"), list | tuple):
        merged["then"] = [_expand(w) if isinstance(w, dict) else w for w in merged["then"]]
    return merged


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = dict(under)
    for key, value in over.items():
        old = both.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            both[key] = _merge(old, value)
        else:
            both[key] = value
    return both


def in_sequence(directive: Directive) -> Iterator[tuple[Directive, int]]:
    """The directive and all that come after it, each with the requests it is good for."""
    yield directive, directive.times
    for later in directive.then:
        yield from in_sequence(later)


class Chooser:
    """Finds the directive of a request; remembers scripts and sequences under way."""

    def __init__(self) -> None:
        self._script: deque[tuple[Directive, int]] = deque()
        self._turns: OrderedDict[bytes, int] = OrderedDict()

    def script(self, wish: object) -> None:
        """Queue a directive for requests that carry none."""
        self._script.extend(in_sequence(read_directive(wish)))

    def clear(self) -> None:
        """Forget what is still queued."""
        self._script.clear()

    def choose(self, request: Request, body: dict[str, Any] | None) -> Directive | None:
        """The directive for this request, or None for the plain behaviour."""
        wish = carried_wish(request, body)
        if wish is None:
            return self._next_scripted(request.path)
        directive = read_directive(wish)
        return self._in_turn(directive) if directive.then else directive

    def _next_scripted(self, path: str) -> Directive | None:
        bare = path.partition("?")[0]
        for place, (directive, times) in enumerate(self._script):
            if bare.endswith(directive.path):
                if times > 1:
                    self._script[place] = (directive, times - 1)
                else:
                    del self._script[place]
                return directive
        return None

    def _in_turn(self, directive: Directive) -> Directive:
        """Where this sequence has got to; its last directive stays."""
        key = msgspec.json.encode(directive)
        turn = self._turns.pop(key, 0)
        self._turns[key] = turn + 1
        if len(self._turns) > MAX_SEQUENCES:
            self._turns.popitem(last=False)
        for step, times in in_sequence(directive):
            directive = step
            if turn < times:
                break
            turn -= times
        return directive


def carried_wish(request: Request, body: dict[str, Any] | None) -> object:
    """The directive a request carries, not yet read."""
    header = request.header(HEADER)
    if header is not None:
        return _as_utf8(header)
    if body is None:
        return None
    if FIELD in body:
        return body[FIELD]
    model = body.get("model")
    if not isinstance(model, str):
        return None
    if model.startswith(MODEL_PREFIX):
        return model.removeprefix(MODEL_PREFIX)
    return model if model in PRESETS else None


def _as_utf8(header: str) -> str:
    """A header's bytes are read as Latin-1; who writes JSON into one means UTF-8."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return header
