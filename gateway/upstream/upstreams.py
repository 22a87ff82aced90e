"""Every provider, ready to be called: its pool and the constant part of its request head.

The rule here: a credential is written into a request in this file and nowhere else.
"""

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from gateway import __version__
from gateway.config.registry import Provider
from gateway.core.breaker import BreakerStanding
from gateway.core.credential import Credential
from gateway.core.errors import ProviderBusyError
from gateway.core.pool_standing import PoolStanding
from gateway.core.retry_after import come_back
from gateway.upstream.connection import Connection
from gateway.upstream.dial import Target
from gateway.upstream.gate import Gate
from gateway.upstream.pool import Pool
from gateway.upstream.resolver import Resolver
from gateway.upstream.retry_budget import RetryBudget
from gateway.upstream.tls import open_tls_context

COMPLETIONS_PATH = "/chat/completions"
HTTPS_PORT = 443
HTTP_PORT = 80
ON_DEMAND_MAX = 500  # upstreams at callers' own addresses, with or without open connections

HasLagged = Callable[[], bool]
"""Whether this process was late itself just now, so that a deadline proves nothing."""

_log = structlog.get_logger()


def _never() -> bool:
    return False


class Upstream:
    """One provider's address and connections."""

    def __init__(
        self,
        provider: Provider,
        base_url: str,
        resolver: Resolver,
        tls: ssl.SSLContext | None = None,
        has_lagged: HasLagged = _never,
    ) -> None:
        parts = urlsplit(base_url)
        secure = parts.scheme == "https"
        host = parts.hostname or ""
        self.provider = provider
        self.host = host
        self.port = parts.port or (HTTPS_PORT if secure else HTTP_PORT)
        self.gate = Gate(provider, has_lagged)
        self.retry_budget = RetryBudget(
            provider.retry_budget, partial(_report_held_back, provider.name)
        )
        self.pool = Pool(
            Target(
                label=provider.label,
                host=host,
                port=self.port,
                allow_private=provider.allow_private or provider.is_simulated,
                connect_s=provider.timeouts.connect_s,
                tls_s=provider.timeouts.tls_s,
                tls=(tls or open_tls_context(provider.tls.ca_file)) if secure else None,
                server_name=provider.tls.server_name,
            ),
            resolver,
            max_connections=provider.max_connections,
            keep_alive_s=provider.timeouts.keep_alive_s,
        )
        self._netloc = parts.netloc
        self._constant_head = _render_constant_head(
            provider, parts.netloc, f"POST {parts.path}{COMPLETIONS_PATH}"
        )

    @property
    def standing(self) -> PoolStanding:
        """How many of its connections are busy, idle and being opened."""
        pool = self.pool
        idle = pool.idle_connections
        busy = pool.open_connections - idle
        return PoolStanding(self.provider.name, busy, idle, pool.dialing, pool.max_connections)

    async def take_connection(
        self, *, fresh: bool = False, until: float | None = None
    ) -> Connection:
        """A connection to this provider; an UpstreamError or ProviderBusyError if there is none.

        TimeoutError if there is none by `until`, on the loop's clock.
        """
        return await self.pool.take(fresh=fresh, until=until)

    def render_request(
        self,
        body: bytes | memoryview,
        credential: Credential | None,
        headers: Iterable[tuple[str, str]],
        *,
        stream: bool,
    ) -> bytes:
        """One whole HTTP request; `headers` are the caller's, already reduced to the allow-list."""
        lines = [self._constant_head]
        if credential is not None:
            lines.append(self._render_auth(credential))
        lines.append(f"Accept: {'text/event-stream' if stream else 'application/json'}\r\n")
        lines.extend(f"{name}: {value}\r\n" for name, value in headers)
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        return "".join(lines).encode("latin-1") + body

    def render_question(
        self, method: str, path: str, credential: Credential | None, body: bytes = b""
    ) -> bytes:
        """One whole HTTP request for another path; `path` includes that of `base_url`."""
        lines = [_render_constant_head(self.provider, self._netloc, f"{method} {path}")]
        if credential is not None:
            lines.append(self._render_auth(credential))
        lines.append("Accept: application/json\r\n")
        lines.append(f"Content-Length: {len(body)}\r\n\r\n" if body else "\r\n")
        return "".join(lines).encode("latin-1") + body

    def _render_auth(self, credential: Credential) -> str:
        auth = self.provider.auth
        return f"{auth.header}: {auth.prefix}{credential.secret.get_secret_value()}\r\n"


class Upstreams:
    """Every provider of one registry, by name."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        simulator_url: str | None,
        has_lagged: HasLagged = _never,
        make_resolver: Callable[[], Resolver] = Resolver,
    ) -> None:
        self._resolver = make_resolver()
        # Separate, because callers may name hosts that never resolve, each blocking a thread for
        # 10 s.
        self._callers_resolver = make_resolver()
        self._on_demand = OnDemand(self._callers_resolver, has_lagged=has_lagged)
        self._upstreams = {
            name: Upstream(provider, url, self._resolver, has_lagged=has_lagged)
            for name, provider in providers.items()
            if not provider.is_custom
            if (url := simulator_url if provider.is_simulated else provider.base_url) is not None
        }

    def __getitem__(self, name: str) -> Upstream:
        return self._upstreams[name]

    def find(self, provider: Provider) -> Upstream:
        """The upstream of a provider: the registry's, or one at a caller's own address.

        The latter are created on demand; ProviderBusyError if there are too many.
        """
        upstream = self._upstreams.get(provider.name)
        if upstream is not None and upstream.provider is provider:
            return upstream
        is_at_ours = upstream is not None and upstream.provider.base_url == provider.base_url
        return self._on_demand.find(provider, self._resolver if is_at_ours else None)

    def check(self, provider: Provider, model: str) -> None:
        """Raise if the breakers refuse this provider of the registry, or this model of it, now."""
        upstream = self._upstreams.get(provider.name)
        if upstream is not None and upstream.provider is provider:
            upstream.gate.check(model)

    def list_breakers(self) -> Iterator[BreakerStanding]:
        """The breaker state of each provider of the registry, without callers' own addresses."""
        for name, upstream in self._upstreams.items():
            yield BreakerStanding(name, upstream.gate.state)

    def close_idle(self) -> None:
        """Close idle connections, because file descriptors are running out."""
        for upstream in (*self._upstreams.values(), *self._on_demand):
            upstream.pool.close_idle()

    def give_up_dials(self) -> None:
        """Time out everybody who waits for a connection to be opened."""
        for upstream in (*self._upstreams.values(), *self._on_demand):
            upstream.pool.give_up_dials()

    def standings(self) -> Iterable[PoolStanding]:
        """The connection counts of each provider, including those at callers' own addresses."""
        found: dict[str, PoolStanding] = {}
        for upstream in (*self._upstreams.values(), *self._on_demand):
            standing = upstream.standing
            before = found.get(standing.provider)
            found[standing.provider] = standing if before is None else before.plus(standing)
        return found.values()

    def close(self) -> None:
        """Close all connections and the resolvers."""
        for upstream in (*self._upstreams.values(), *self._on_demand):
            upstream.pool.close()
        self._resolver.close()
        self._callers_resolver.close()


class OnDemand:
    """Upstreams at addresses, or with headers, that callers set themselves.

    It keeps those in use and the most recent ones. Each is one provider at one address.
    """

    def __init__(
        self, resolver: Resolver, most: int = ON_DEMAND_MAX, has_lagged: HasLagged = _never
    ) -> None:
        self._resolver = resolver
        self._has_lagged = has_lagged
        self._most = most
        # Shared by all and made for the first, as it takes 10 ms and a megabyte.
        self._tls: ssl.SSLContext | None = None
        # By provider, address and headers; the most recently used is last.
        self._upstreams: dict[tuple[str, str, tuple[tuple[str, str], ...]], Upstream] = {}

    def __iter__(self) -> Iterator[Upstream]:
        return iter(self._upstreams.values())

    def find(self, provider: Provider, resolver: Resolver | None = None) -> Upstream:
        """The upstream at this provider's address, created if there is none.

        Pass `resolver` for an address of the registry; the default is the callers' resolver.
        """
        key = (provider.name, provider.base_url, tuple(provider.headers.items()))
        upstream = self._upstreams.pop(key, None)
        if upstream is None:
            self._make_room(provider)
            upstream = self._make(provider, resolver or self._resolver)
        self._upstreams[key] = upstream
        return upstream

    def _make(self, provider: Provider, resolver: Resolver) -> Upstream:
        has_own = provider.tls.ca_file is not None
        if self._tls is None and not has_own and provider.base_url.startswith("https:"):
            self._tls = open_tls_context(None)
        tls = None if has_own else self._tls
        return Upstream(provider, provider.base_url, resolver, tls, self._has_lagged)

    def _make_room(self, provider: Provider) -> None:
        if len(self._upstreams) < self._most:
            return
        for key, upstream in self._upstreams.items():
            if not upstream.pool.is_in_use:
                upstream.pool.close()
                del self._upstreams[key]
                return
        raise ProviderBusyError(
            f"Answers from too many addresses of {provider.label} are under way; "
            "try again shortly.",
            headers=come_back(),
        )


UPSTREAMS: web.AppKey[Upstreams] = web.AppKey("upstreams", Upstreams)
"""Set by `app` once they are open."""


def _render_constant_head(provider: Provider, netloc: str, target: str) -> str:
    names_itself = any(name.lower() == "user-agent" for name in provider.headers)
    lines = [
        f"{target} HTTP/1.1",
        f"Host: {netloc}",
        *(() if names_itself else (f"User-Agent: chat-gateway/{__version__}",)),
        "Content-Type: application/json",
        # We read the answer and relay it as it is, so it must not be compressed.
        "Accept-Encoding: identity",
        *(f"{name}: {value}" for name, value in provider.headers.items() if value),
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _report_held_back(provider: str, count: int) -> None:
    _log.warning("retries.held_back", provider=provider, count=count)
