"""Who may use what the admin listener shows and changes.

The rule here: whatever is not named in OPEN is behind the guard, also what is added later. Which
page is asked for is told by the route that was found, never by the text of the address.
"""

import hmac
import re
from collections.abc import Collection, Sequence

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDictProxy

from gateway.auth.local import is_loopback_host
from gateway.auth.method import read_key
from gateway.auth.origins import host_of
from gateway.auth.static_keys import digest_of
from gateway.auth.wrong_keys import WrongKeys
from gateway.config.key_hashes import names_by_digest
from gateway.config.settings import AdminSpec
from gateway.core.admin_errors import (
    AdminKeyNeededError,
    AdminKeysMissingError,
    HostRefusedError,
    UnsupportedMediaTypeError,
)
from gateway.core.clock import Clock, monotonic
from gateway.core.errors import OriginRefusedError, UnauthenticatedError
from gateway.core.gateway_key import is_key
from gateway.wire.forwarded import TrustedProxies, name_peer

OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
"""Pages for machines that hold no key; they show nothing of anybody."""

ADMIN: web.RequestKey[str] = web.RequestKey("admin", str)
"""The name of the admin who asks; set for every page behind the guard."""

CLIENT: web.RequestKey[str] = web.RequestKey("client", str)
"""The address that asks; set for every page behind the guard."""

_READING = frozenset({"GET", "HEAD"})
_OWN_SITES = frozenset({"same-origin", "none"})  # `none`: typed by somebody, not sent by a page
_HOST = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.IGNORECASE)
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_CHALLENGE = {"WWW-Authenticate": "Bearer"}

_log = structlog.get_logger()


class Guard:
    """Lets admins in by the keys of `admin.keys`."""

    def __init__(
        self,
        spec: AdminSpec,
        caller_digests: Collection[str] = (),
        *,
        proxies: Collection[str] = (),
        clock: Clock = monotonic,
    ) -> None:
        self._admins = names_by_digest(spec.keys)
        self._caller_digests = frozenset(caller_digests)
        self._proxies = TrustedProxies(proxies)
        listed = {host.lower() for host in (*spec.hosts, spec.host)}
        self._hosts = listed - _EVERY_ADDRESS
        self._wrong_keys = WrongKeys(clock)

    def find_client(self, request: web.Request) -> str:
        """Where the request comes from."""
        return self._proxies.find_client(name_peer(request.remote), request.headers)

    def admit(self, request: web.Request, client: str) -> str:
        """The name of the admin who asks from there; raises for everybody else."""
        self._refuse_pages(request.headers)
        if not self._admins:
            raise AdminKeysMissingError(
                "Nobody may use the admin API until gateway.yaml says who: write "
                '`admin: {keys: {ops: "sha256:<SHA-256 of the key>"}}`.'
            )
        name = self._recognise(request, client)
        if request.method not in _READING and request.content_type != "application/json":
            # A form that a page sends is never JSON: browsers ask before they send that.
            raise UnsupportedMediaTypeError(
                "What changes something is sent with `Content-Type: application/json`."
            )
        return name

    def _refuse_pages(self, headers: CIMultiDictProxy[str]) -> None:
        """Refuse what a web page could make its visitor's browser send."""
        hosts: Sequence[str] = headers.getall("Host", ())
        if not (is_loopback_host(hosts) or self._is_listed(hosts)):
            raise HostRefusedError(  # a stranger's name may resolve to here (DNS rebinding)
                "The admin API is called by a loopback name, by `admin.host`, or by a name of "
                "`admin.hosts` in gateway.yaml."
            )
        origins = headers.getall("Origin", ())
        sites = headers.getall("Sec-Fetch-Site", ())
        is_own = all(site.strip().lower() in _OWN_SITES for site in sites)
        if not is_own or any(host_of(origin) != hosts[0].lower() for origin in origins):
            raise OriginRefusedError("Pages of other origins may not use the admin API.")

    def _is_listed(self, hosts: Sequence[str]) -> bool:
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        return found is not None and found["host"].lower().strip("[]") in self._hosts

    def _recognise(self, request: web.Request, client: str) -> str:
        # Before the key is looked at, a right one too: somebody may have chosen a weak one.
        self._wrong_keys.refuse_flood(client)
        key = read_key(request.headers)
        if key is None:
            raise _unauthenticated()
        digest = digest_of(key)
        name = self._find(digest)
        if name is not None:
            return name
        self._wrong_keys.count(client)
        is_callers = is_key(key) or digest in self._caller_digests
        _log.warning(
            "admin.refused", client=client, reason="caller's key" if is_callers else "unknown key"
        )
        if is_callers:
            raise AdminKeyNeededError(
                "This is a key for callers; the admin API takes those of `admin.keys`."
            )
        raise _unauthenticated()

    def _find(self, digest: str) -> str | None:
        """Whose key it is; takes as long for every digest."""
        found = None
        for known, name in self._admins.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found


GUARD: web.AppKey[Guard] = web.AppKey("guard", Guard)
"""Set by `admin`."""


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through what is open, and admins."""
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical not in OPEN:  # None: there is no such page
        guarding = request.app[GUARD]
        request[CLIENT] = client = guarding.find_client(request)
        request[ADMIN] = guarding.admit(request, client)
    return await handler(request)


def _unauthenticated() -> UnauthenticatedError:
    return UnauthenticatedError(
        "A key of `admin.keys` is needed, as `Authorization: Bearer <key>`; "
        "none was sent, or one that is not among them.",
        headers=_CHALLENGE,
    )
