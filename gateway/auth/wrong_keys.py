"""How many wrong keys an address may send before it has to wait.

The rule here: memory is limited. An attacker with more addresses than we remember is not stopped by
this, but cannot guess a key of 256 random bits either. This protects the store.
"""

import ipaddress

from gateway.core.clock import Clock
from gateway.core.errors import TooManyWrongKeysError
from gateway.core.key_holder import parse_address
from gateway.core.throttle import Throttle

WRONG_KEYS_PER_MINUTE = 60
ADDRESSES_MAX = 10_000
IPV6_PREFIX = 64  # one subscriber's network, in which each connection may use another address


class WrongKeys:
    """Counts wrong keys by address."""

    def __init__(self, clock: Clock, per_minute: int = WRONG_KEYS_PER_MINUTE) -> None:
        self._throttle = Throttle(clock, per_minute, ADDRESSES_MAX)

    def __len__(self) -> int:
        return len(self._throttle)

    def wait_s(self, client_address: str) -> int:
        """How long the address has to wait, in whole seconds; 0 if not at all."""
        return self._throttle.wait_s(network_of(client_address)) if len(self._throttle) else 0

    def refuse_flood(self, client_address: str) -> None:
        """Raise TooManyWrongKeysError if the address has to wait."""
        wait_s = self.wait_s(client_address)
        if wait_s:
            raise TooManyWrongKeysError(
                f"Too many wrong keys came from this address; try again in {wait_s} s.",
                headers={"Retry-After": str(wait_s)},
            )

    def count(self, client_address: str) -> None:
        """Count one wrong key."""
        self._throttle.count(network_of(client_address))


def network_of(client_address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 network of an IPv6 one."""
    address = parse_address(client_address)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address or client_address)
