"""`gateway credentials` and `gateway keys reencrypt`: credentials of principals and tenants.

Rule: a credential comes from standard input or from a prompt, and is printed nowhere.
"""

import json
import sys
from collections.abc import Callable, Coroutine
from getpass import getpass
from pathlib import Path

import typer
from pydantic import SecretStr

from gateway.cli.credential_table import print_credentials
from gateway.cli.stores import TIMEOUT_S, run_with_settings
from gateway.config.load import load_registry
from gateway.config.problems import ConfigError
from gateway.config.settings import Settings
from gateway.core.clock import system_clock
from gateway.core.credential_owner import KEY_HOLDER, TENANT, USER, name_owner
from gateway.core.durations import render_time
from gateway.core.errors import InvalidRequestError
from gateway.credentials.profile_keys import check_key_text, ending_of, new_version
from gateway.stores.credentials import StoredCredential
from gateway.stores.envelope import open_envelope, seal
from gateway.stores.errors import StoreError
from gateway.stores.opening_credentials import OpenCredentials, open_credentials
from gateway.stores.reencrypt import reencrypt as reencrypt_all

Whose = tuple[str | None, str | None, str | None]
"""Tenant, principal and what sort of one, as they were written."""

NAME_CHARS_MAX = 330  # a prefix and a name, as tokens have them


def set_credential(provider: str, whose: Whose, registry: Path | None, config: Path | None) -> int:
    """Keep the credential that is typed or piped in."""
    _check_whose(whose)
    field = _field_of(provider, registry)

    async def work(settings: Settings, opened: OpenCredentials) -> int:
        owner = _owner(settings, whose) or ""
        secret = _read_secret(f"Credential of {owner} for {provider}: ")
        await opened.store.save(
            StoredCredential(
                owner=owner,
                field=field,
                version=new_version(),
                envelope=seal(opened.keys, owner, field, secret),
                set_at=int(system_clock()),
            )
        )
        typer.echo(f"{owner}: {field} is set; running gateways use it within ten seconds.")
        if not _is_asked_for(settings, owner):
            typer.echo(
                "No gateway asks for it yet: gateway.yaml needs `profiles: {source: stored}`"
                + (", or `tenants: true` in it." if owner.startswith(TENANT) else "."),
                err=True,
            )
        return 0

    return _run(config, work)


def list_credentials(whose: Whose, output: str, config: Path | None) -> int:
    """Print what there is, but no credential."""
    _check_whose(whose, is_needed=False)

    async def work(settings: Settings, opened: OpenCredentials) -> int:
        owner = _owner(settings, whose)
        owners = [owner] if owner else await opened.store.fetch_owners("")
        found = await opened.store.fetch_of(owners)
        rows = [
            (stored, _ending(opened, stored))
            for owner in sorted(found)
            for _, stored in sorted(found[owner].items())
        ]
        if output == "json":
            typer.echo(json.dumps([_as_json(*row) for row in rows], indent=2))
        elif rows:
            print_credentials(rows)
        else:
            typer.echo("There are no such credentials yet.", err=True)
        return 0

    return _run(config, work)


def delete_credential(
    provider: str, whose: Whose, registry: Path | None, config: Path | None
) -> int:
    """Forget a credential."""
    _check_whose(whose)
    field = _field_of(provider, registry)

    async def work(settings: Settings, opened: OpenCredentials) -> int:
        owner = _owner(settings, whose) or ""
        if not await opened.store.delete(owner, field):
            raise StoreError(f"{owner} has no {field}.")
        typer.echo(
            f"{owner}: {field} is deleted; running gateways stop using it within ten seconds."
        )
        return 0

    return _run(config, work)


def reencrypt(config: Path | None) -> int:
    """Seal everything with the newest encryption key; 1 where something could not be opened."""

    async def work(_: Settings, opened: OpenCredentials) -> int:
        counts = await reencrypt_all(opened.store, opened.keys)
        newest = opened.keys.newest
        what = "1 credential is" if counts.done == 1 else f"{counts.done} credentials are"
        typer.echo(f"{what} now sealed with the encryption key {newest}.")
        if counts.changed_meanwhile:
            typer.echo(f"{counts.changed_meanwhile} were changed in the meantime; run it again.")
        for problem in counts.problems:
            typer.echo(problem, err=True)
        if counts.problems:
            return 1
        others = sorted(opened.keys.versions - {newest})
        if others and not counts.changed_meanwhile:
            names = f"the encryption key{'s' * (len(others) > 1)} {', '.join(map(str, others))}"
            typer.echo(f"No credential needs {names} any more, except in backups.", err=True)
        return 0

    return _run(config, work)


def _run(
    config: Path | None,
    work: Callable[[Settings, OpenCredentials], Coroutine[object, object, int]],
) -> int:
    async def run(settings: Settings) -> int:
        opened = await open_credentials(settings.stores, timeout_s=TIMEOUT_S)
        try:
            return await work(settings, opened)
        finally:
            await opened.store.close()

    return run_with_settings(config, run)


def _field_of(provider: str, registry: Path | None) -> str:
    """The field that a provider's credential is in."""
    try:
        found = load_registry(registry, {}).providers.get(provider)
    except ConfigError as error:
        raise typer.BadParameter(str(error.problems[0]), param_hint="--providers") from None
    if found is None or found.is_custom:
        raise typer.BadParameter(
            "is not a provider with a credential; `gateway providers` lists them",
            param_hint="PROVIDER",
        )
    return found.key


def _check_whose(whose: Whose, *, is_needed: bool = True) -> None:
    """Raise what is wrong with it, before anything is opened."""
    tenant, principal, kind = whose
    if (tenant is not None and principal is not None) or (kind is not None and principal is None):
        raise typer.BadParameter("write either --tenant, or --principal and perhaps --kind")
    if is_needed and tenant is None and principal is None:
        raise typer.BadParameter("say whose credential it is: --tenant NAME or --principal NAME")
    if kind not in {None, KEY_HOLDER, USER}:
        raise typer.BadParameter("needs to be `key` or `user`", param_hint="--kind")
    for option, name in (("--tenant", tenant), ("--principal", principal)):
        if name is not None and not (0 < len(name) <= NAME_CHARS_MAX and name.isprintable()):
            raise typer.BadParameter("needs to be a name as shown in the log", param_hint=option)


def _owner(settings: Settings, whose: Whose) -> str | None:
    tenant, principal, kind = whose
    if principal is not None:
        return name_owner(kind or _sort_of(settings), principal)
    return None if tenant is None else name_owner(TENANT, tenant)


def _sort_of(settings: Settings) -> str:
    """What principals there are, where that is one sort."""
    sorts = {
        KEY_HOLDER if method.kind == "gateway_key" else USER
        for method in settings.auth or ()
        if method.kind != "anonymous"
    }
    if len(sorts) != 1:
        raise typer.BadParameter(
            "is needed: `key` for the holder of a gateway key, or `user` for somebody with a "
            "token or a session; both may have the same name",
            param_hint="--kind",
        )
    return sorts.pop()


def _read_secret(prompt: str) -> SecretStr:
    text = getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    try:
        return check_key_text(text, "The credential")
    except InvalidRequestError as error:
        raise StoreError(error.public) from None


def _is_asked_for(settings: Settings, owner: str) -> bool:
    profiles = settings.profiles
    if profiles is None:
        return False
    return profiles.tenants if owner.startswith(f"{TENANT}:") else profiles.source == "stored"


def _ending(opened: OpenCredentials, stored: StoredCredential) -> str | None:
    try:
        return ending_of(open_envelope(opened.keys, stored.owner, stored.field, stored.envelope))
    except StoreError as error:
        typer.echo(str(error), err=True)
        return None


def _as_json(stored: StoredCredential, ending: str | None) -> dict[str, object]:
    return {
        "owner": stored.owner,
        "field": stored.field,
        "last_four": ending,
        "set_at": render_time(stored.set_at),
        "last_worked_at": render_time(stored.worked_at),
        "last_failed_at": render_time(stored.failed_at),
        "encryption_key": stored.envelope.key,
    }
