"""Names of requests: how one is made, and which of a caller's own are accepted.

The rule here: an id may stand in any log line and header as it is.
"""

import re
import secrets

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")


def new_request_id() -> str:
    """A request id that nobody can guess."""
    return secrets.token_hex(16)


def is_request_id(text: str) -> bool:
    """True when a caller's own id may be used as it is."""
    return _ACCEPTED.fullmatch(text) is not None
