"""Where a provider may live: the rules for a base URL and for the addresses it resolves to.

Rule: pure and fast; the connection asks again for every address it is about to use,
because DNS may change its answer.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

PORT_MAX = 65535
HOST_CHARS_MAX = 253

# Never the address of a provider, whatever the registry says.
UNUSABLE_V4 = (
    (IPv4Network("0.0.0.0/8"), "the unspecified address"),
    (IPv4Network("224.0.0.0/4"), "a multicast address"),
    (IPv4Network("240.0.0.0/4"), "a reserved address"),
)
UNUSABLE_V6 = (
    (IPv6Network("::/128"), "the unspecified address"),
    (IPv6Network("ff00::/8"), "a multicast address"),
)
# Legitimate for a model server of one's own, and only with `allow_private: true`.
PRIVATE_V4 = (
    (IPv4Network("127.0.0.0/8"), "a loopback address"),
    (IPv4Network("169.254.169.254/32"), "a cloud metadata address"),
    (IPv4Network("168.63.129.16/32"), "a cloud metadata address"),  # Azure's, in public space
    (IPv4Network("100.100.100.200/32"), "a cloud metadata address"),  # Alibaba's
    (IPv4Network("192.0.0.192/32"), "a cloud metadata address"),  # Oracle's
    (IPv4Network("169.254.0.0/16"), "a link-local address"),
    (IPv4Network("10.0.0.0/8"), "a private address"),
    (IPv4Network("172.16.0.0/12"), "a private address"),
    (IPv4Network("192.168.0.0/16"), "a private address"),
    (IPv4Network("100.64.0.0/10"), "a private address"),  # carrier NAT (RFC 6598)
    (IPv4Network("192.88.99.0/24"), "a 6to4 relay address"),
)
PRIVATE_V6 = (
    (IPv6Network("::1/128"), "a loopback address"),
    (IPv6Network("fd00:ec2::254/128"), "a cloud metadata address"),
    (IPv6Network("fe80::/10"), "a link-local address"),
    (IPv6Network("fc00::/7"), "a private address"),
    (IPv6Network("fec0::/10"), "a private address"),  # site-local, deprecated and still routed
    (IPv6Network("2001::/32"), "a Teredo address"),
    (IPv6Network("2002::/16"), "a 6to4 address"),
    (IPv6Network("3fff::/20"), "a documentation address"),  # RFC 9637, newer than Python 3.11
)
PUBLIC_V6 = IPv6Network("2000::/3")  # all that has ever been handed out (IANA)

# IPv6 prefixes that stand for the IPv4 address in their last 32 bits: mapped, and NAT64 (RFC 6052).
# Every other way of carrying one (6to4, Teredo, compatible, translated) is refused as not public.
EMBEDDINGS = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))

HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")  # a label
NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
LOCAL_NAMES = ("localhost", "ip6-localhost", "localhost.localdomain")
METADATA_NAMES = ("metadata.google.internal", "metadata.goog", "instance-data")

ADDED_PATH = "/chat/completions"
ALLOW = "write allow_private: true if that is intended"


def check_base_url(url: str, *, allow_private: bool, credential: str = "leave them out") -> None:
    """Raise ValueError with the reason when nothing must be called at this URL.

    `credential` is what to do with a user and password in it.
    """
    if re.search(r"[^\x21-\x7e]|\\", url):
        raise ValueError(
            "holds white space, a control character, a backslash or a letter outside ASCII; "
            "write the plain URL (an international host name in its xn-- form)"
        )
    parts = _split(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("needs to start with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError(f"holds a user or password; {credential}")
    if "#" in url:
        raise ValueError("has a fragment; leave out the # and everything after it")
    if "?" in url:
        raise ValueError("has a query; leave out the ? and everything after it")
    if re.search(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", parts.path, re.IGNORECASE):
        raise ValueError("contains a dot segment; write the path without it")
    if parts.path.rstrip("/").endswith(ADDED_PATH):
        raise ValueError(f"holds {ADDED_PATH}, which the gateway adds; leave it out")
    refusal = _host_refusal(parts, allow_private=allow_private)
    if refusal is not None:
        raise ValueError(refusal)


def refusal_of(address: str, *, allow_private: bool) -> str | None:
    """Return why a resolved address must not be connected to, or None."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "not an IP address"
    found = _unusable(parsed)
    if found is not None:
        return f"{found}, which no provider can have"
    if allow_private:
        return None
    found = _private(parsed)
    return None if found is None else f"{found}; {ALLOW}"


def _split(url: str) -> SplitResult:
    """Return the parts of a URL, its port among them checked."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is not a URL; write https://host[:port]/path") from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"needs a port from 1 to {PORT_MAX}, or none")
    return parts


def _host_refusal(parts: SplitResult, *, allow_private: bool) -> str | None:
    """Return why the host of a base URL is refused, or None."""
    host = (parts.hostname or "").removesuffix(".")
    if "[" in parts.netloc:
        return _literal_refusal(host, allow_private=allow_private)
    labels = host.split(".")
    if len(host) > HOST_CHARS_MAX or not all(map(HOST.fullmatch, labels)):
        return "needs a host name after the ://"
    if NUMERIC_LABEL.fullmatch(labels[-1]):
        return _literal_refusal(host, allow_private=allow_private)
    if allow_private or not (kind := _local_name(host)):
        return None
    return f"leads to {kind}; {ALLOW}"


def _literal_refusal(host: str, *, allow_private: bool) -> str | None:
    """Return why a host that is an address is refused, or None.

    Resolvers read 0x7f000001, 2130706433 and 127.1 as 127.0.0.1 (WHATWG URL, "ends in a number"),
    and checks that do not are how such addresses slip by.
    """
    if "%" in host:
        return "has an IPv6 zone; write the address without it"
    try:
        ip_address(host)
    except ValueError:
        return "has an IPv4 address in an unusual form; write it as four decimal numbers"
    refusal = refusal_of(host, allow_private=allow_private)
    return f"leads to {refusal}" if refusal else None


def _local_name(host: str) -> str | None:
    """Return what a host name stands for when it never leaves the machine or its cloud."""
    if host in LOCAL_NAMES or host.endswith(".localhost"):
        return "a loopback address"
    return "a cloud metadata address" if host in METADATA_NAMES else None


def _unusable(address: IPv4Address | IPv6Address) -> str | None:
    """Return what an address is when nothing can be behind it."""
    if isinstance(address, IPv4Address):
        return next((what for net, what in UNUSABLE_V4 if address in net), None)
    inner = _embedded(address)
    if inner is not None:
        return _unusable(inner)
    return next((what for net, what in UNUSABLE_V6 if address in net), None)


def _private(address: IPv4Address | IPv6Address) -> str | None:
    """Return what an address is when it does not belong to the public internet."""
    if isinstance(address, IPv4Address):
        found = next((what for net, what in PRIVATE_V4 if address in net), None)
        return found or (None if address.is_global else "an address that is not public")
    inner = _embedded(address)
    if inner is not None:
        return _private(inner)
    found = next((what for net, what in PRIVATE_V6 if address in net), None)
    if found is None and (address not in PUBLIC_V6 or not address.is_global):
        found = "an address that is not public"
    return found


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 one stands for, if it does."""
    if any(address in net for net in EMBEDDINGS):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
