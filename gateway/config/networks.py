"""Networks as they are written in a configuration.

Rule: a network that holds everybody is no list of proxies, and is refused.
"""

from typing import Annotated

from pydantic import AfterValidator

from gateway.core.key_holder import parse_network

UNIX = "unix"


def check_proxy(text: str) -> str:
    """Return a network that proxies call from, or `unix`; ValueError for anything else."""
    if text == UNIX:
        return text
    try:
        network = parse_network(text)
    except ValueError:
        raise ValueError(
            "needs to be a network, such as 10.1.0.0/16 with nothing after its prefix, one "
            "address, or unix"
        ) from None
    if network.prefixlen == 0:
        raise ValueError("is everybody, so anybody could pretend to be anybody; name the proxies")
    return text


ProxyNetwork = Annotated[str, AfterValidator(check_proxy)]
