"""Request ids: making one, and checking a caller's own.

The rule here: an id is safe in any log line and header as it is.
"""

import random
import re

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")

# Seeded by the operating system, and faster than asking it each time.
_draw = random.Random().getrandbits  # noqa: S311 - an id is a name, not a secret


def new_request_id() -> str:
    """A request id that no other request has."""
    return f"{_draw(128):032x}"


def is_request_id(text: str) -> bool:
    """True if the text has only characters that an id may have."""
    return _WELL_FORMED.fullmatch(text) is not None
