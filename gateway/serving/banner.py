"""What `gateway serve` prints when it listens.

Rule: names only. The banner says which credentials exist, and nothing else about them.
"""

import json
from collections.abc import Iterable, Iterator
from shlex import quote

from gateway.auth.local import is_loopback
from gateway.catalog.listing import is_callable
from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.config.settings import Settings
from gateway.server.sockets import local_url


def describe_start(
    settings: Settings, registry: Registry, *, url: str, admin_url: str | None
) -> list[str]:
    """The lines to print, ending with a command to paste, if one would work."""
    keyless = [
        provider.name
        for provider in registry.providers.values()
        if not provider.needs_credential and not provider.is_custom
        if provider.name not in registry.credentials
    ]
    lines = [
        f"listening    {url}",
        f"admin        {admin_url or 'switched off'}",
        f"providers    {len(registry.providers)} in {registry.source}",
        f"credentials  {_join(describe_credentials(registry))}",
        f"need none    {_join(keyless)}",
    ]
    if settings.auth is None and not is_loopback(settings.server.bound_to):
        # Any command would get 401.
        return [*lines, "callers      nobody: write `auth` in gateway.yaml to let somebody in"]
    command = _curl(settings, registry, local_url(url))
    # On a line of its own, so that it is easy to copy.
    return [*lines, "try it with", command] if command else lines


def describe_credentials(registry: Registry) -> Iterator[str]:
    """The providers that have credentials; for several, how many and which."""
    for provider, found in registry.credentials.items():
        names = ", ".join(credential.id for credential in found)
        yield provider if len(found) == 1 else f"{provider} ({len(found)}: {names})"


def _join(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _curl(settings: Settings, registry: Registry, url: str) -> str | None:
    """A shell command; None if no provider can be called."""
    provider = _find_example(registry)
    if provider is None:
        return None
    body = {
        "chatSettings": {"model": provider.default_model or provider.models[0].id},
        "messages": [{"role": "user", "content": "Hello"}],
    }
    text = json.dumps(body, separators=(",", ":")).replace("'", "'\\''")
    kinds = {method.kind for method in settings.auth or ()}
    if kinds == {"supabase_cookie"}:
        return None  # a session comes from signing in, not from a shell
    # A caller without a key gets in only if anonymous callers may.
    wants_key = bool(kinds) and "anonymous" not in kinds
    key = ' -H "Authorization: Bearer $GATEWAY_KEY"' if wants_key else ""
    if settings.server.unix_socket is not None:
        socket = quote(str(settings.server.unix_socket))
        key, url = f"{key} --unix-socket {socket}", "http://localhost"
    # Quoted, because zsh would take the brackets of an IPv6 address for a file pattern.
    address = quote(f"{url}/api/chat/{provider.name}")
    return f"curl -N{key} {address} -d '{text}'"


def _find_example(registry: Registry) -> Provider | None:
    """The demo, or else a provider that has a credential and a model to ask for."""
    candidates = [
        provider
        for provider in registry.providers.values()
        if is_callable(registry, provider) and (provider.default_model or provider.models)
    ]
    # A provider without a credential may be a local server that does not run.
    candidates.sort(
        key=lambda provider: (
            not provider.is_simulated,
            provider.name not in registry.credentials,
        )
    )
    return candidates[0] if candidates else None
