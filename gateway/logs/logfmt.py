"""Lines that were written as `key=value` pairs.

The rule here: they become what the same line would be as JSON, as far as that can be told: what a
field holds tells a number from a text, and an exchange has all of its fields.
"""

import re
from contextlib import suppress
from typing import Any, Final

import msgspec

from gateway.core.events.exchange import SETTLED
from gateway.logs.fields import EXCHANGE, FLAGS, LABEL, LISTS, NUMBERS, is_time

MAX_DIGITS: Final = 18  # of what fits into 64 bits

_BEGIN: Final = b"timestamp="
_PAIR = re.compile(r'(?P<name>[\w.-]+)=(?P<value>"(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]+)?(?:e-?[0-9]{1,2})?")
_TRUTH: Final = {"true": True, "false": False}
_NOT_TEXT: Final = NUMBERS | FLAGS
_NOTHING: Final = {name: None for name in EXCHANGE if name != "labels"}

_decode = msgspec.json.decode


def parse_logfmt(line: bytes) -> dict[str, Any] | None:
    """The fields of a line; None for what is not made of pairs, or begins with something else."""
    begin = line.find(_BEGIN)
    if begin < 0:
        return None
    try:
        text = line[begin:].decode().rstrip("\r")
        fields = _read_pairs(text)
    except (UnicodeDecodeError, msgspec.DecodeError):
        return None
    if fields is None or "event" not in fields:
        return None
    if fields["event"] == SETTLED:
        head = {
            name: fields.pop(name) for name in ("timestamp", "level", "event") if name in fields
        }
        return head | _NOTHING | fields
    return fields


def _read_pairs(line: str) -> dict[str, Any] | None:
    pairs = _PAIR.findall(line)
    # Each with its sign and a blank; what was skipped between two is no pair.
    if sum([len(name) + len(value) + 2 for name, value in pairs]) - 1 != len(line):
        return None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        is_quoted = value.startswith('"')
        text = _decode(value, type=str) if is_quoted else value
        if name in LISTS:
            fields[name] = _read_list(text)
        elif not is_quoted and (name in _NOT_TEXT or is_time(name)):
            fields[name] = _read_value(name, text)
        else:
            fields[name] = text
    labels = [name for name in fields if name.startswith(LABEL)]
    if labels:
        fields["labels"] = {name.removeprefix(LABEL): fields.pop(name) for name in labels}
    return fields


def _read_list(text: str) -> list[Any]:
    """With commas, as the gateway writes it, or as JSON, as `gateway logs` does."""
    if text.startswith("["):
        with suppress(msgspec.DecodeError):
            return _decode(text, type=list[Any])
    return text.split(",") if text else []


def _read_value(name: str, value: str) -> object:
    if name in FLAGS:
        return _TRUTH.get(value, value)
    if len(value) <= MAX_DIGITS and value.isascii() and value.isdigit():
        return int(value)
    if _NUMBER.fullmatch(value):
        return float(value) if "." in value or "e" in value else int(value)
    return value
