"""Response headers that are the same on all our answers.

The rule here: constants only. Headers that depend on the request are set where it is known.
"""

from collections.abc import Mapping
from types import MappingProxyType

from multidict import istr

SERVER_NAME = "chat-gateway"  # no version, which would tell attackers which holes are open

FIXED_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        istr("Cache-Control"): "no-store",
        istr("X-Content-Type-Options"): "nosniff",
        istr("Server"): SERVER_NAME,
    }
)
