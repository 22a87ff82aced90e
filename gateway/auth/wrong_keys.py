"""How many wrong keys an address may show before it has to wait.

The rule here: memory is bounded. Whoever has more addresses than are remembered is not stopped by
this, and finds no key either: one has 256 random bits. What is protected is the store.
"""

import ipaddress
import math

from gateway.core.clock import Clock
from gateway.core.errors import TooManyWrongKeysError
from gateway.core.key_holder import parse_address

WRONG_KEYS_PER_MINUTE = 60
ADDRESSES_MAX = 10_000
MINUTE_S = 60.0
IPV6_PREFIX = 64  # what one subscriber has: in it, every connection may come from another address


class WrongKeys:
    """Counts wrong keys by address; GCRA, so a burst of a minute's worth and then evenly."""

    def __init__(self, clock: Clock, per_minute: int = WRONG_KEYS_PER_MINUTE) -> None:
        self._clock = clock
        self._interval_s = MINUTE_S / per_minute
        # When each address would have shown all its wrong keys, had it shown them evenly.
        self._paid_until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._paid_until)

    def wait_s(self, client_address: str) -> int:
        """How long the address has to wait, in whole seconds; 0 when it need not."""
        if not self._paid_until:
            return 0
        paid_until = self._paid_until.get(network_of(client_address), 0.0)
        ahead_s = paid_until + self._interval_s - self._clock() - MINUTE_S
        return math.ceil(ahead_s) if ahead_s > 1e-6 else 0  # noqa: PLR2004 - a float's last digits

    def refuse_flood(self, client_address: str) -> None:
        """Raise TooManyWrongKeysError when the address has to wait."""
        wait_s = self.wait_s(client_address)
        if wait_s:
            raise TooManyWrongKeysError(
                f"Too many wrong keys came from this address; try again in {wait_s} s.",
                headers={"Retry-After": str(wait_s)},
            )

    def count(self, client_address: str) -> None:
        """Note one wrong key."""
        network = network_of(client_address)
        now = self._clock()
        paid_until = max(self._paid_until.pop(network, now), now) + self._interval_s
        if len(self._paid_until) >= ADDRESSES_MAX:
            del self._paid_until[next(iter(self._paid_until))]  # the one longest without a mistake
        self._paid_until[network] = paid_until


def network_of(client_address: str) -> str:
    """What counts as one address: an IPv4 address, the /64 of an IPv6 one."""
    address = parse_address(client_address)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address or client_address)
