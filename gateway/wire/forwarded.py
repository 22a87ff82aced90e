"""Who called, where a proxy says so: `X-Forwarded-For` and `Forwarded` (RFC 7239).

The rule here: an entry is believed when whoever wrote it is trusted. So they are read from the
right, and nothing to the left of the first stranger counts, however it is written.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Protocol

from gateway.core.key_holder import Address, Network, parse_address, parse_network

UNIX: Final = "unix"  # the peer on a socket in the file system, which has no address
UNKNOWN: Final = "unknown"  # nobody who can be told apart: named by a proxy, or gone already
HOPS_MAX: Final = 32  # proxies in a row

_MAPPED = "::ffff:"
_CACHED = 4_096
_CACHED_CHARS = 256  # what callers prefixed is not kept by the megabyte

# `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`.
_NODE = re.compile(
    r"\[(?P<v6>[0-9A-Fa-f:.]{2,45})\](?::\d{1,5})?"
    r"|(?P<v4>\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5})?"
    r"|(?P<bare>[0-9A-Fa-f:.]{2,45})"
)
_PAIR = re.compile(
    r"\s*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r"(?:\"(?P<quoted>[^\"\\]*)\"|(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]+))\s*"
)


class Headers(Protocol):
    """The headers of a request."""

    def getall(self, key: str, default: Sequence[str]) -> Sequence[str]:
        """Every value of one header, in the order in which they came."""


def name_peer(remote: str | None) -> str:
    """The peer of a connection: an address, `unix`, or UNKNOWN for one that has left already.

    `remote` is what aiohttp has; None where somebody reset the connection while it waited to be
    accepted, since uvloop asks for the address only then. A socket that systemd opens for both IPs
    shows an IPv4 caller as one of IPv6.
    """
    if remote is None:
        return UNKNOWN
    if remote.startswith(_MAPPED) and "." in remote:
        return remote[len(_MAPPED) :]
    return remote or UNIX


class TrustedProxies:
    """The proxies that say truly who called them."""

    def __init__(self, written: Iterable[str]) -> None:
        """Take networks, and `unix`, as `server.trusted_proxies` has them."""
        names = frozenset(written)
        self._trusts_unix = UNIX in names
        self._networks: tuple[Network, ...] = tuple(
            parse_network(name) for name in sorted(names - {UNIX})
        )
        self._trusts_peer = lru_cache(maxsize=_CACHED)(self._is_trusted_peer)
        # The same callers come again and again, through the same proxy: 0.3 µs instead of 8.
        self._find = lru_cache(maxsize=_CACHED)(self._walk)

    def find_client(self, peer: str, headers: Headers) -> str:
        """The address that called: the peer's own, unless it is a proxy that names another.

        `peer` is what `name_peer` gives. UNKNOWN where a proxy gives something that is no address.
        """
        if not self._trusts_peer(peer):
            return peer
        # What nearly every proxy writes; `Forwarded` is read where that is not there. One that
        # writes the second has to take the first out, as any that callers sent.
        lines = headers.getall("X-Forwarded-For", ())
        is_forwarded = not lines
        if is_forwarded:
            lines = headers.getall("Forwarded", ())
        line = ",".join(lines)
        find = self._find if len(line) <= _CACHED_CHARS else self._walk
        return find(peer, line, is_forwarded)

    def _is_trusted_peer(self, peer: str) -> bool:
        if peer == UNIX:
            return self._trusts_unix
        address = parse_address(peer)
        return address is not None and self._trusts(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _walk(self, peer: str, line: str, is_forwarded: bool) -> str:  # noqa: FBT001 - a cache's
        # Cut at every comma: one inside quotes was not written by a proxy about an address. What
        # is left of as many as there may be stays in one piece, which is not looked at.
        pieces = line.rsplit(",", HOPS_MAX)
        client = peer
        for element in reversed(pieces[-HOPS_MAX:]):
            if not element.strip(" \t"):
                continue
            address = parse_node(_node_of(element) if is_forwarded else element)
            if address is None:
                return UNKNOWN
            client = str(address)
            if not self._trusts(address):
                return client
        return client if len(pieces) <= HOPS_MAX else UNKNOWN


def parse_node(text: str) -> Address | None:
    """The address of one entry, without its port; None for anything else, such as `unknown`."""
    found = _NODE.fullmatch(text.strip(" \t"))
    return None if found is None else parse_address(found["v6"] or found["v4"] or found["bare"])


def _node_of(element: str) -> str:
    """The value of `for` in one element of `Forwarded`; empty when it has not exactly one."""
    pairs = [_PAIR.fullmatch(piece) for piece in element.split(";") if piece.strip(" \t")]
    nodes: list[str] = []
    for pair in pairs:
        if pair is None:
            return ""
        if pair["name"].lower() == "for":
            nodes.append(pair["token"] if pair["quoted"] is None else pair["quoted"])
    return nodes[0] if len(nodes) == 1 else ""
