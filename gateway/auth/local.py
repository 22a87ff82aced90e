"""Callers on this machine, if gateway.yaml does not say who may call.

The rule here: a call that could be made on behalf of another machine, or of a page of another site,
is not a local call.
"""

import ipaddress
import re
from collections.abc import Iterable

from aiohttp import web

from gateway.auth.method import Refusal
from gateway.auth.origins import host_of
from gateway.core.identity import Principal

LOCAL = Principal("local", "anonymous")

_HOST = re.compile(r"(?P<host>localhost|\[::1\]|127(?:\.\d{1,3}){3})(?::\d{1,5})?", re.IGNORECASE)
# Headers that a proxy adds. Behind a proxy, a call from loopback may come from anybody.
_PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip"})
_PROXY_PREFIX = "x-forwarded-"

_NO_AUTH = (
    "Only direct calls from the gateway's own machine are answered until gateway.yaml says who "
    "may call. For callers with keys write `auth: [{kind: gateway_key, keys: {alice: "
    '"sha256:<SHA-256 of the key>"}}]`, for everybody write '
    "`auth: [{kind: anonymous, requests_per_minute: 60, concurrent: 10}]`."
)


class LocalCalls:
    """Direct calls to a listener that only this machine reaches."""

    wanted = _NO_AUTH

    def __init__(self, host: str) -> None:
        self._is_open = is_loopback(host)

    async def recognise(self, request: web.Request, key: str | None) -> Principal | Refusal:  # noqa: ARG002 - where a call comes from is all it wants
        """The local principal."""
        if self._is_open and _is_direct_local_call(request):
            return LOCAL
        return Refusal(_NO_AUTH)


def is_loopback(host: str) -> bool:
    """True for a name or address that never leaves this machine."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _is_direct_local_call(request: web.Request) -> bool:
    """True if nothing suggests a caller on another machine, or a page of another site."""
    headers = request.headers
    if request.remote is None or not is_loopback(request.remote):
        return False
    if not is_loopback_host(headers.getall("Host", ())):
        return False  # an attacker's name that resolves to 127.0.0.1 (DNS rebinding)
    site = headers.get("Sec-Fetch-Site", "").strip().lower()
    if site == "cross-site":
        return False
    # Older browsers send no Sec-Fetch-Site, but an `Origin` with everything a page posts.
    if not site and not all(map(_is_of_this_machine, headers.getall("Origin", ()))):
        return False
    for name in headers:
        lower = name.lower()
        if lower in _PROXY_HEADERS or lower.startswith(_PROXY_PREFIX):
            return False
    return True


def _is_of_this_machine(origin: str) -> bool:
    """False for a page of another site; a desktop app's, such as `tauri://localhost`, is local."""
    host = host_of(origin)
    return is_loopback_host((host,)) if host else origin != "null"


def is_loopback_host(given: Iterable[str]) -> bool:
    """True for one `Host` header with a name that never leaves this machine."""
    hosts = tuple(given)
    if len(hosts) != 1:
        return False
    match = _HOST.fullmatch(hosts[0])
    return match is not None and is_loopback(match["host"])
