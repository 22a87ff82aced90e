"""Response headers that are the same on every answer of ours.

The rule here: constants only; what depends on the request is set where that is known.
"""

from collections.abc import Mapping
from types import MappingProxyType

from multidict import istr

SERVER_NAME = "chat-gateway"  # without a version: it would tell which holes are open

FIXED_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        istr("Cache-Control"): "no-store",
        istr("X-Content-Type-Options"): "nosniff",
        istr("Server"): SERVER_NAME,
    }
)
