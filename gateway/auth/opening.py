"""From the entries under `auth` to working methods.

The rule here: what only one method needs is imported only if that method is configured. PyJWT and
cryptography take a tenth of a second to import.
"""

from collections.abc import AsyncIterator

from aiohttp import web

from gateway.auth.anonymous import Anonymous
from gateway.auth.local import LocalCalls
from gateway.auth.method import Method
from gateway.auth.static_keys import StaticKeys
from gateway.auth.stored_key_method import StoredKeyMethod
from gateway.auth.stored_keys import STORED_KEYS, StoredKeys
from gateway.config.anonymous import AnonymousAuth
from gateway.config.settings import GatewayKeyAuth, Settings
from gateway.core.tasks import Tasks
from gateway.plugins.keys import SETTINGS
from gateway.telemetry.crashes import report_crash
from gateway.upstream.resolver import Resolver

METHODS: web.AppKey[tuple[Method, ...]] = web.AppKey("methods", tuple)
"""How callers are recognised, in the operator's order; set by `open_methods`."""


async def open_methods(app: web.Application) -> AsyncIterator[None]:
    """Make the methods under `auth`; nothing is fetched before the first caller comes."""
    tasks = Tasks(report_crash)
    resolver = Resolver()
    app[METHODS] = make_methods(app[SETTINGS], tasks, resolver, app.get(STORED_KEYS))
    yield
    await tasks.cancel()
    resolver.close()


def make_methods(
    settings: Settings, tasks: Tasks, resolver: Resolver, stored_keys: StoredKeys | None = None
) -> tuple[Method, ...]:
    """One method for each entry, in order; without `auth` only local calls."""
    if settings.auth is None:
        return (LocalCalls(settings.server.bound_to),)
    methods: list[Method] = []
    for spec in settings.auth:
        if isinstance(spec, GatewayKeyAuth):
            methods.append(_make_key_method(spec, stored_keys))
        elif isinstance(spec, AnonymousAuth):
            methods.append(Anonymous())
        else:
            from gateway.auth.tokens import make_token_method  # noqa: PLC0415 - the rule here

            origins = settings.server.cors_origins
            methods.append(make_token_method(spec, origins, tasks, resolver))
    return tuple(methods)


def _make_key_method(spec: GatewayKeyAuth, stored_keys: StoredKeys | None) -> Method:
    if spec.keys is not None:
        return StaticKeys(spec)
    if stored_keys is None:
        raise RuntimeError("The database of keys has not been opened.")
    return StoredKeyMethod(stored_keys)
