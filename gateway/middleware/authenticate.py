"""Who is calling: sets the principal.

The rule here: a caller whom no method recognises is refused. The methods under `auth` are asked in
order and the first that recognises the caller wins. But a caller with a wrong key is never let in
as anonymous, and if a method cannot tell, the answer is 503 and never 401.
"""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.auth.local import is_loopback
from gateway.auth.method import Method, Refusal, read_key
from gateway.auth.opening import METHODS
from gateway.auth.static_keys import UNKNOWN
from gateway.auth.stored_keys import STORED_KEYS
from gateway.config.load import Registry
from gateway.config.settings import Settings
from gateway.core.errors import AuthUnavailableError, UnauthenticatedError
from gateway.core.gateway_key import is_key
from gateway.core.identity import Principal
from gateway.plugins.api import EXCHANGE

_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_NOBODY = "The gateway does not know who is calling."


class UnsafeBindError(ValueError):
    """A listener that would let anybody who can reach it use the operator's credentials."""


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Recognise the caller, or refuse the request."""
    methods = request.app[METHODS]
    request[EXCHANGE].principal = await _recognise(request, read_key(request.headers), methods)
    return await handler(request)


def refuse_unsafe_bind(settings: Settings, registry: Registry) -> None:
    """Raise if strangers could use the operator's credentials; called before listening."""
    host = settings.server.bound_to
    if settings.auth is not None or not registry.credentials or is_loopback(host):
        return
    names = ", ".join(sorted(registry.credentials))
    what = f"server.host is {host}, which other machines can reach"
    if settings.server.unix_socket is not None:
        what = f"server.unix_socket is {host}, where a proxy asks for whoever calls it"
    raise UnsafeBindError(
        f"{what}, there are credentials for "
        f"{names}, and nothing says who may use them. Write `auth` in gateway.yaml (keys: "
        '`auth: [{kind: gateway_key, keys: {alice: "sha256:<SHA-256 of the key>"}}]`; everybody, '
        "if that is meant: `auth: [{kind: anonymous, requests_per_minute: 60, concurrent: 10}]`), "
        "or listen on 127.0.0.1."
    )


async def _recognise(request: web.Request, key: str | None, methods: Iterable[Method]) -> Principal:
    unavailable: AuthUnavailableError | None = None
    refusal: Refusal | None = None
    for method in methods:
        try:
            found = await method.recognise(request, key)
        except AuthUnavailableError as error:
            unavailable = error  # another method may still know the caller
            continue
        if isinstance(found, Principal):
            # A wrong key is a mistake to report, not a wish to be anonymous.
            if found.kind != "anonymous" or (refusal is None and unavailable is None):
                return found
        elif found is not None and (
            refusal is None or (refusal.is_vague and found is not UNKNOWN)
        ):  # "this is no key at all" says less than another method's reason
            refusal = found
    if unavailable is not None:
        raise unavailable
    if refusal is None:
        wanted = next((method.wanted for method in methods if method.wanted), _NOBODY)
        refusal = Refusal(wanted)
    elif STORED_KEYS in request.app and (refusal.is_vague or is_key(key or "")):
        # Nobody knows this key, so it counts as a guess, whatever else was sent with it.
        request.app[STORED_KEYS].count_wrong_key(request[EXCHANGE].client_address)
    raise UnauthenticatedError(refusal.sentence, detail=refusal.detail, headers=_CHALLENGE)
