"""Names of requests: how one is made, and which of a caller's own are well formed.

The rule here: an id may stand in any log line and header as it is.
"""

import random
import re

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")

# Seeded by the system, and quicker than asking it each time.
_draw = random.Random().getrandbits  # noqa: S311 - an id is a name, not a secret


def new_request_id() -> str:
    """A request id that no other request has."""
    return f"{_draw(128):032x}"


def is_request_id(text: str) -> bool:
    """True when a text may be an id, as far as its characters go."""
    return _WELL_FORMED.fullmatch(text) is not None
