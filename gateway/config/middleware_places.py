"""Where in the chain an operator's middlewares say that they belong.

Rule: a place is one of the chain's own, or beside a middleware written further up; a name of
somebody else's making is left to the start, which knows what it was imported as.
"""

import re
from difflib import get_close_matches

from gateway.config.document import Document
from gateway.config.forms import MIDDLEWARE
from gateway.config.problems import Problem

OUTERMOST = "guard_stream"
FIRST = "assign_request_id"  # opens the exchange: without one a middleware has nothing to go by
BEGIN_TRACE = "begin_trace"  # in the chain where there is `tracing`

# The names of `app.CHAIN`, outermost first; a test compares them.
CHAIN_NAMES = (
    OUTERMOST,
    FIRST,
    "write_access_log",
    "render_errors",
    "check_path",
    "allow_origins",
    "authenticate",
    "shed_load",
    "read_request",
    "check_rights",
    "check_provider",
    "check_key",
    "enforce_limits",
)

# Where no middleware of an operator's may stand, and what to write instead.
TOO_FAR_OUT = frozenset({("before", OUTERMOST), ("after", OUTERMOST), ("before", FIRST)})
THE_FIRST_PLACE = f"nothing comes before {FIRST}; the first place is `after: {FIRST}`"

_NAME = re.compile(MIDDLEWARE)
_LIKELY, _CERTAIN = 0.6, 0.9  # how near a name has to be to be taken for a slip


def misplaced_middlewares(document: Document) -> list[Problem]:
    """Return a problem for each place that is not in the chain."""
    settings = document.value if isinstance(document.value, dict) else {}
    written = settings.get("middleware")
    known = [*CHAIN_NAMES]
    if settings.get("tracing") is not None:
        known.insert(known.index(FIRST) + 1, BEGIN_TRACE)
    problems: list[Problem] = []
    own: list[str] = []
    for index, entry in enumerate(written if isinstance(written, list) else ()):
        if not isinstance(entry, dict):
            continue
        for side in ("after", "before"):
            message = _refusal(side, entry.get(side), known, own)
            if message is not None:
                problems.append(document.problem(("middleware", index, side), message))
        own.append(str(entry.get("use")).rpartition(":")[2])
    return problems


def _refusal(side: str, name: object, known: list[str], own: list[str]) -> str | None:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name in own:
        return None
    if name in known:
        return THE_FIRST_PLACE if (side, name) in TOO_FAR_OUT else None
    # A function may have another name than the one that it is imported by.
    near = get_close_matches(name, known, 1, _CERTAIN if own else _LIKELY)
    if near:
        return f"is not in the chain; did you mean {near[0]}?"
    return None if own else f"is not in the chain, which is: {', '.join(known)}"
