"""The caller's address according to proxies: `X-Forwarded-For` and `Forwarded` (RFC 7239).

The rule here: an entry is believed only if the hop that wrote it is trusted. So entries are read
from the right, and everything to the left of the first untrusted one is ignored.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Protocol

from gateway.core.key_holder import Address, Network, parse_address, parse_network

UNIX: Final = "unix"  # the peer on a Unix socket, which has no address
UNKNOWN: Final = "unknown"  # no address: a proxy gave none, or the caller has already left
HOPS_MAX: Final = 32  # the longest chain of proxies

_MAPPED = "::ffff:"
_CACHED = 4_096
_CACHED_CHARS = 256  # longer headers, which callers can prepend, are not cached

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
        """Every value of one header, in order of arrival."""


def name_peer(remote: str | None) -> str:
    """The peer of a connection: an address, `unix`, or UNKNOWN if it has already left.

    `remote` comes from aiohttp. It is None if the connection was reset while it waited to be
    accepted, because uvloop asks for the address only then. On a dual-stack socket from systemd an
    IPv4 caller has an IPv4-mapped IPv6 address.
    """
    if remote is None:
        return UNKNOWN
    if remote.startswith(_MAPPED) and "." in remote:
        return remote[len(_MAPPED) :]
    return remote or UNIX


class TrustedProxies:
    """The proxies that we trust to say who called them."""

    def __init__(self, written: Iterable[str]) -> None:
        """Take networks, and `unix`, as written in `server.trusted_proxies`."""
        names = frozenset(written)
        self._trusts_unix = UNIX in names
        self._networks: tuple[Network, ...] = tuple(
            parse_network(name) for name in sorted(names - {UNIX})
        )
        self._trusts_peer = lru_cache(maxsize=_CACHED)(self._is_trusted_peer)
        # The same callers keep coming through the same proxy: 0.3 µs instead of 8.
        self._find = lru_cache(maxsize=_CACHED)(self._walk)

    def find_client(self, peer: str, headers: Headers) -> str:
        """The caller's address: the peer's own, unless it is a trusted proxy that names another.

        `peer` comes from `name_peer`. UNKNOWN if a proxy gives something that is no address.
        """
        if not self._trusts_peer(peer):
            return peer
        # Nearly every proxy writes this one; `Forwarded` is read only if it is missing. So a proxy
        # that writes `Forwarded` must remove any `X-Forwarded-For` that callers sent.
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
        # Split at every comma: no proxy writes an address with a comma inside quotes. Entries
        # beyond HOPS_MAX stay in one piece, which is not examined.
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
    """The value of `for` in one element of `Forwarded`; empty unless it has exactly one."""
    pairs = [_PAIR.fullmatch(piece) for piece in element.split(";") if piece.strip(" \t")]
    nodes: list[str] = []
    for pair in pairs:
        if pair is None:
            return ""
        if pair["name"].lower() == "for":
            nodes.append(pair["token"] if pair["quoted"] is None else pair["quoted"])
    return nodes[0] if len(nodes) == 1 else ""
