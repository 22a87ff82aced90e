"""The fields that lines have, and what may be asked of each.

The rule here: a field that no line has is a mistake of whoever asks, and is never just not found.
"""

import difflib
from typing import Final

from gateway.core.events.exchange import EXCHANGE_FIELDS, LINE_FIELDS
from gateway.core.events.fields import FIELDS

LINE: Final = tuple(LINE_FIELDS)
EXCHANGE: Final = tuple(EXCHANGE_FIELDS)
OTHER: Final = tuple(name for name in FIELDS if name not in EXCHANGE_FIELDS)
NUMBERS: Final = frozenset(
    {
        "attempts",
        "bytes_in",
        "bytes_out",
        "chunks",
        "cost_micros",
        "count",
        "damaged",
        "dropped",
        "exit_code",
        "failures",
        "files",
        "generation",
        "in_flight",
        "limit",
        "lines",
        "lost",
        "pid",
        "places",
        "refused",
        "resident_bytes",
        "settled",
        "shares",
        "status",
        "tokens_cached",
        "tokens_in",
        "tokens_out",
        "times",
        "tokens_reasoning",
        "told",
        "worker",
    }
)
LISTS: Final = frozenset({"columns", "rules", "settings", "would_refuse"})
FLAGS: Final = frozenset({"is_cut", "stream"})
LABEL: Final = "labels."  # labels.team: one of what middlewares have added
LEVELS: Final = ("debug", "info", "warning", "error", "critical")  # from the least important on


class FieldError(ValueError):
    """No line has such a field; the text names those that there are."""


def find_field(name: str) -> str:
    """The name, when lines have such a field; FieldError otherwise."""
    if name in _KNOWN or (name.startswith(LABEL) and len(name) > len(LABEL)):
        return name
    near = difflib.get_close_matches(name, _KNOWN, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise FieldError(
        f"no line has a field {name!r}.{meant} An exchange has {', '.join((*LINE, *EXCHANGE))}; "
        f"labels are asked for as labels.NAME; other lines have {', '.join(OTHER)}."
    )


def is_time(name: str) -> bool:
    """True for a field that holds seconds."""
    return name.endswith("_s")


_KNOWN = frozenset((*LINE, *EXCHANGE, *OTHER))
