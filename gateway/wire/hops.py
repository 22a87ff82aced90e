"""How many gateways a request has come through.

The rule here: a gateway that is called by one says so to the next. An address in somebody's
settings may lead back to where it is read, and one request would be six thousand a minute later.
"""

import re
from collections.abc import Mapping

from multidict import istr

from gateway.core.errors import RequestLoopError

HOPS = istr("X-Gateway-Hops")
USER_AGENT = istr("User-Agent")
PRODUCT = "chat-gateway/"  # how the user agent of every gateway begins
MAX_HOPS = 8

_NUMBER = re.compile(r"[1-9][0-9]?")


def list_hops(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The header for the next one; none where a caller is no gateway, as nearly always.

    RequestLoopError for a request that has come through too many.
    """
    given = headers.get(HOPS)
    if given is None and not headers.get(USER_AGENT, "").startswith(PRODUCT):
        return ()
    hops = int(given) if given is not None and _NUMBER.fullmatch(given) else 1
    if hops >= MAX_HOPS:
        raise RequestLoopError(
            f"This request has come through {hops} gateways; the address of a provider or of a "
            "model leads back here."
        )
    return ((HOPS, str(hops + 1)),)
