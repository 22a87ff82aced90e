"""Stored keys as people read them.

Rule: of a key only the first characters are shown, as the store has no more of it.
"""

from collections.abc import Iterator, Sequence

from rich.console import Console

from gateway.cli.tables import print_table
from gateway.core.durations import render_time
from gateway.stores.keys import StoredKey, StoredSecret, is_over

COLUMNS = ("name", "state", "key", "tenant", "groups", "for", "expires")


def print_keys(keys: Sequence[StoredKey], now: float, console: Console | None = None) -> None:
    """Print one row for each key."""
    print_table(COLUMNS, (_cells(key, now) for key in keys), console)


def render_key(key: StoredKey, now: float) -> Iterator[str]:
    """Yield the lines about one key."""
    yield f"name        {key.name}"
    yield f"state       {key.state_at(now)}"
    yield f"tenant      {key.tenant or 'none'}"
    for heading, values in (
        ("groups", key.groups),
        ("providers", key.providers),
        ("models", key.models),
        ("networks", key.networks),
    ):
        nothing = "none" if heading == "groups" else "all"
        yield f"{heading:<12}{', '.join(values) or nothing}"
    yield f"created     {render_time(key.created_at)}"
    yield f"expires     {render_time(key.expires_at) or 'never'}"
    if key.disabled_at is not None:
        yield f"disabled    {render_time(key.disabled_at)}"
    for secret in key.secrets:
        yield f"key         {secret.prefix}…, {_life(secret, now)}"


def _life(secret: StoredSecret, now: float) -> str:
    ends = render_time(secret.expires_at)
    if ends is None:
        return f"since {render_time(secret.created_at)}"
    return f"{'ended' if is_over(secret.expires_at, now) else 'until'} {ends}"


def _cells(key: StoredKey, now: float) -> tuple[str, ...]:
    rights = (*key.providers, *key.models, *key.networks)
    running = [secret for secret in key.secrets if not is_over(secret.expires_at, now)]
    return (
        key.name,
        key.state_at(now),
        ", ".join(f"{secret.prefix}…" for secret in running),
        key.tenant,
        ", ".join(key.groups),
        ", ".join(rights) or "all",
        render_time(key.expires_at) or "never",
    )
