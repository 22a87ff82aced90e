"""How a line looks: JSON, `key=value` pairs, or text for people.

The rule here: what comes in is clean already; what goes out is one line of bytes with its break.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

Render = Callable[[Mapping[str, Any]], bytes]

# What needs no quotes in logfmt: a word without blanks, quotes and equals signs.
_BARE = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+").fullmatch
_KEY = re.compile(r"[^A-Za-z0-9_.\-]")

encode_json = msgspec.json.Encoder(enc_hook=repr).encode


def render_json(line: Mapping[str, Any]) -> bytes:
    """One object, every field in it."""
    return encode_json(line) + b"\n"


def render_logfmt(line: Mapping[str, Any]) -> bytes:
    """`key=value` pairs; a field without a value is left out, a block is `key.name=value`."""
    pairs: list[str] = []
    add = pairs.append
    for name, value in line.items():
        if value is None:
            continue
        kind = type(value)
        key = name if name.isidentifier() else _KEY.sub("_", name)
        if kind is bool:
            add(f"{key}=true" if value else f"{key}=false")
        elif kind is int or kind is float:
            add(f"{key}={value}")
        elif kind is dict:
            inner = {f"{key}.{_KEY.sub('_', part)}": v for part, v in value.items()}
            written = render_logfmt(inner)[:-1].decode()
            if written:  # or two blanks would follow each other
                add(written)
        else:
            add(f"{key}={_quote(value)}")
    return " ".join(pairs).encode("utf-8", "backslashreplace") + b"\n"


def make_console(*, is_colored: bool) -> Render:
    """Text for people, in colours where there are some."""
    render = structlog.dev.ConsoleRenderer(
        colors=is_colored,
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
        sort_keys=False,
    )

    def render_console(line: Mapping[str, Any]) -> bytes:
        text = render(None, "", dict(line))
        return str(text).encode("utf-8", "backslashreplace") + b"\n"

    return render_console


def _quote(value: object) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | tuple):
        text = ",".join(map(str, value))
    else:
        text = str(value)
    # A word of letters, digits and the like needs no quotes.
    return text if _BARE(text) else encode_json(text).decode()
