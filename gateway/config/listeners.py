"""Whether both listeners of a gateway can be open at the same time.

Rule: no name is looked up; what is judged is what is written.
"""

from ipaddress import ip_address

from gateway.config.settings import Settings

LOCAL_NAME = "localhost"
LOCAL = frozenset({"127.0.0.1", "::1"})
EVERY_V4, EVERY_V6 = "0.0.0.0", "::"  # noqa: S104 - compared, not bound


class SamePortError(ValueError):
    """Two listeners of one gateway that would be in each other's place."""


def refuse_same_port(settings: Settings) -> None:
    """Raise when the admin listener is to be where the public one is; asked before listening."""
    server, admin = settings.server, settings.admin
    if not admin.enabled or server.unix_socket is not None:
        return
    if server.port != admin.port or server.port == 0:
        return
    if _share_an_address(_addresses_of(server.host), _addresses_of(admin.host)):
        raise SamePortError(
            f"server.port and admin.port are both {server.port}, on the same address. "
            "Give one of them another port, or leave the admin listener out with "
            "`admin: {enabled: false}`."
        )


def _addresses_of(host: str) -> frozenset[str]:
    name = host.strip("[]").lower()
    if name == LOCAL_NAME:
        return LOCAL
    try:
        return frozenset({str(ip_address(name))})
    except ValueError:
        return frozenset({name})


def _share_an_address(one: frozenset[str], other: frozenset[str]) -> bool:
    return any(
        first == second or _holds(first, second) or _holds(second, first)
        for first in one
        for second in other
    )


def _holds(every: str, address: str) -> bool:
    """Whether the first is all addresses, and the second may be one of them."""
    if every == EVERY_V6:
        return ":" in address
    return every == EVERY_V4 and ":" not in address
