"""How many gateways a request has passed through.

The rule here: a gateway that is called by another gateway tells the next one. A configured address
may lead back to this gateway, and without a count one request would become six thousand within a
minute.
"""

import re
from collections.abc import Mapping

from multidict import istr

from gateway.core.errors import RequestLoopError

HOPS = istr("X-Gateway-Hops")
USER_AGENT = istr("User-Agent")
PRODUCT = "chat-gateway/"  # the User-Agent of every gateway begins with this
MAX_HOPS = 8

_NUMBER = re.compile(r"[1-9][0-9]?")


def list_hops(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The header for the next gateway; none if the caller is no gateway, which is the usual case.

    RequestLoopError for a request that has passed through too many.
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
