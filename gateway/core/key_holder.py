"""Who holds a stored key, and what that key may be used for.

The rule here: an empty list of rights means no restriction; any other list is exhaustive.
"""

import ipaddress
from collections.abc import Iterable

from gateway.core.identity import Principal

MAPPED_BITS = 96  # bits before the IPv4 address in ::ffff:10.1.2.3

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class KeyHolder(Principal, frozen=True):
    """A principal whose key is limited to providers, models and networks."""

    providers: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()  # each as `provider/model`
    networks: tuple[Network, ...] = ()

    def may_call_from(self, client_address: str) -> bool:
        """Whether the key may be used from this address; an invalid one is in no network."""
        if not self.networks:
            return True
        address = parse_address(client_address)
        return address is not None and any(address in network for network in self.networks)

    def may_use(self, provider: str) -> bool:
        """Whether the key allows this provider, though maybe not all of its models."""
        return not self.providers or provider in self.providers

    def may_ask_for(self, provider: str, names: Iterable[str]) -> bool:
        """Whether the key allows this provider's model, known by any of these names."""
        if not self.models:
            return True
        for name in names:  # noqa: SIM110 - `any` over a generator takes three times as long
            if f"{provider}/{name}" in self.models:
                return True
        return False

    def may_see(self, provider: str) -> bool:
        """Whether the key allows anything of this provider."""
        if not self.may_use(provider):
            return False
        prefix = f"{provider}/"
        return not self.models or any(model.startswith(prefix) for model in self.models)


def parse_address(text: str) -> Address | None:
    """The address, IPv4 if it is mapped into IPv6; None if the text is no address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_network(text: str) -> Network:
    """The network for addresses from `parse_address`; ValueError if the text is none."""
    network = ipaddress.ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    # A caller from ::ffff:10.1.0.0/112 has an IPv4 address, which no IPv6 network contains.
    return ipaddress.ip_network((mapped, network.prefixlen - MAPPED_BITS))
