"""Who is calling: sets the principal.

The rule here: whoever is not recognised is refused, and a key is compared by its digest only.
Nothing that was presented is logged or sent back.
"""

import hashlib
import ipaddress
import re
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.auth.stored_keys import STORED_KEYS
from gateway.config.load import Registry
from gateway.config.settings import AuthMethod, GatewayKeyAuth, Settings
from gateway.core.errors import AmbiguousAuthError, UnauthenticatedError
from gateway.core.identity import ANONYMOUS, Principal
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import SETTINGS

LOCAL = Principal("local", "anonymous")

_BEARER = re.compile(r"bearer[ \t]+", re.IGNORECASE)
_HOST = re.compile(r"(?P<host>localhost|\[::1\]|127(?:\.\d{1,3}){3})(?::\d{1,5})?", re.IGNORECASE)
# What a proxy adds: behind one, a loopback peer is anybody.
_PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip"})
_PROXY_PREFIX = "x-forwarded-"

_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_NO_AUTH = (
    "Only direct calls from the gateway's own machine are answered until gateway.yaml says who "
    "may call. For callers with keys write `auth: [{kind: gateway_key, keys: {alice: "
    '"sha256:<SHA-256 of the key>"}}]`, for everybody write `auth: [{kind: anonymous}]`.'
)
_UNKNOWN_KEY = (
    "A key of this gateway is needed, as `Authorization: Bearer <key>`; "
    "none was sent, or one that it does not know."
)


class UnsafeBindError(ValueError):
    """A listener that would hand the operator's credentials to whoever can reach it."""


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Recognise the caller, or refuse."""
    settings = request.app[SETTINGS]
    presented = _read_key(request)
    if settings.auth is None:
        if not is_loopback(settings.server.host) or not _is_direct_local_call(request):
            raise UnauthenticatedError(_NO_AUTH, headers=_CHALLENGE)
        principal = LOCAL
    else:
        principal = await _recognise(request, presented, settings.auth)
    request[EXCHANGE].principal = principal
    return await handler(request)


def refuse_unsafe_bind(settings: Settings, registry: Registry) -> None:
    """Raise when strangers could spend the operator's credentials; asked before listening."""
    host = settings.server.host
    if settings.auth is not None or not registry.credentials or is_loopback(host):
        return
    names = ", ".join(sorted(registry.credentials))
    raise UnsafeBindError(
        f"server.host is {host}, which other machines can reach, there are credentials for "
        f"{names}, and nothing says who may use them. Write `auth` in gateway.yaml (keys: "
        '`auth: [{kind: gateway_key, keys: {alice: "sha256:<SHA-256 of the key>"}}]`; everybody, '
        "if that is meant: `auth: [{kind: anonymous}]`), or listen on 127.0.0.1."
    )


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


async def _recognise(
    request: web.Request, presented: str | None, methods: Iterable[AuthMethod]
) -> Principal:
    is_unknown = False
    for method in methods:
        if method.kind != "gateway_key":  # an isinstance of pydantic models takes 1 µs
            if not is_unknown:
                return ANONYMOUS
        elif presented is not None:
            principal = await _find_holder(request, presented, method)
            if principal is not None:
                return principal
            is_unknown = True  # a wrong key is a mistake to be told of, not a wish to be nobody
    if is_unknown and STORED_KEYS in request.app:
        request.app[STORED_KEYS].count_wrong_key(request[EXCHANGE].client_address)
    raise UnauthenticatedError(_UNKNOWN_KEY, headers=_CHALLENGE)


async def _find_holder(
    request: web.Request, presented: str, method: GatewayKeyAuth
) -> Principal | None:
    if method.keys is None:
        address = request[EXCHANGE].client_address
        return await request.app[STORED_KEYS].recognise(presented, address)
    # Found by digest: how long that takes says nothing about the key.
    name = method.names_by_digest.get(_digest_of(presented))
    return None if name is None else Principal(name, "gateway_key")


def _read_key(request: web.Request) -> str | None:
    """What was presented as a key, empty when it cannot be one; None when nothing was."""
    bearers = request.headers.getall("Authorization", ())
    plain = request.headers.getall("x-api-key", ())
    if len(bearers) > 1 or len(plain) > 1:
        raise AmbiguousAuthError("The request holds a header with a key twice; send it once.")
    key = None
    if bearers:
        scheme = _BEARER.match(bearers[0])
        key = "" if scheme is None else bearers[0][scheme.end() :].strip(" \t")
    if plain:
        if key is not None and key != plain[0]:
            raise AmbiguousAuthError("Authorization and x-api-key hold different keys; send one.")
        key = plain[0]
    return key


def _digest_of(key: str) -> str:
    # aiohttp keeps bytes that are not UTF-8 as surrogates; they become the same bytes again.
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()}"


def _is_direct_local_call(request: web.Request) -> bool:
    """True when nothing speaks for a caller on another machine, or for a page of another site."""
    headers = request.headers
    if request.remote is None or not is_loopback(request.remote):
        return False
    if not _is_loopback_host(headers.getall("Host", ())):
        return False  # a name of an attacker's that resolves to 127.0.0.1 (DNS rebinding)
    if headers.get("Sec-Fetch-Site", "").strip().lower() == "cross-site":
        return False
    for name in headers:
        lower = name.lower()
        if lower in _PROXY_HEADERS or lower.startswith(_PROXY_PREFIX):
            return False
    return True


def _is_loopback_host(given: Iterable[str]) -> bool:
    hosts = tuple(given)
    if len(hosts) != 1:
        return False
    match = _HOST.fullmatch(hosts[0])
    return match is not None and is_loopback(match["host"])
