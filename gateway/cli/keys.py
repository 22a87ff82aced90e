"""`gateway keys`: making, showing and ending stored keys.

Rule: a key is printed once, when it is made, alone on a line of standard output.
"""

import ipaddress
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from gateway.cli.durations import parse_duration, render_time
from gateway.cli.key_table import describe_key, print_keys
from gateway.cli.stores import run_with_keys
from gateway.config import forms
from gateway.config.settings import Settings
from gateway.core.clock import system_clock
from gateway.core.gateway_key import is_key, make_key
from gateway.stores.errors import StoreError
from gateway.stores.keys import StoredKey, StoredSecret, shown_part
from gateway.stores.opening import OpenKeys
from gateway.stores.peppers import Peppers

Lists = Mapping[str, Sequence[str] | None]

STDIN = "-"

_MODEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}/[\x21-\x7e]{1,256}")
_FORMS = {"groups": forms.PRINCIPAL, "providers": forms.PROVIDER_NAME}


def create(name: str, tenant: str, lists: Lists, expires: str | None, config: Path | None) -> int:
    """Make a key and print it."""
    _check("NAME", name, forms.PRINCIPAL)
    if tenant:
        _check("--tenant", tenant, forms.PRINCIPAL)
    rights = {field: _check_list(field, values or ()) for field, values in lists.items()}
    lasts_s = None if expires is None else _read_duration("--expires", expires)

    async def work(settings: Settings, opened: OpenKeys) -> int:
        now = int(system_clock())
        key = make_key()
        await opened.store.save_key(
            StoredKey(
                name=name,
                created_at=now,
                tenant=tenant,
                groups=rights["groups"],
                providers=rights["providers"],
                models=rights["models"],
                networks=rights["networks"],
                expires_at=None if lasts_s is None else now + lasts_s,
                secrets=(_hash(key, opened.peppers, now),),
            )
        )
        _hand_over(name, key, settings)
        return 0

    return run_with_keys(config, work)


def list_keys(output: str, config: Path | None) -> int:
    """Print every key, but not the keys themselves."""

    async def work(_: Settings, opened: OpenKeys) -> int:
        keys = await opened.store.fetch_keys()
        if output == "json":
            typer.echo(json.dumps([_as_json(key) for key in keys], indent=2))
        elif keys:
            print_keys(keys, system_clock())
        else:
            typer.echo("There are no keys yet; `gateway keys create NAME` makes one.", err=True)
        return 0

    return run_with_keys(config, work)


def show(name: str, config: Path | None) -> int:
    """Print one key, but not the key itself."""

    async def work(_: Settings, opened: OpenKeys) -> int:
        key = await opened.store.fetch_key(name)
        for line in describe_key(key, system_clock()):
            typer.echo(line)
        return 0

    return run_with_keys(config, work)


def rotate(name: str, overlap: str, config: Path | None) -> int:
    """Print a new key for the same holder; the old one goes on for a while."""
    overlap_s = _read_duration("--overlap", overlap)

    async def work(settings: Settings, opened: OpenKeys) -> int:
        now = int(system_clock())
        old = await opened.store.fetch_key(name)
        if old.disabled_at is not None:
            raise StoreError(f"{name} is disabled, and stays so; make a key of another name.")
        key = make_key()
        await opened.store.save_secret(
            name, _hash(key, opened.peppers, now), others_end_at=now + overlap_s
        )
        _hand_over(name, key, settings)
        if overlap_s:
            until = render_time(now + overlap_s)
            typer.echo(f"The old key of {name} works until {until}.", err=True)
        return 0

    return run_with_keys(config, work)


def disable(name: str, config: Path | None) -> int:
    """Refuse a key from now on."""

    async def work(_: Settings, opened: OpenKeys) -> int:
        if await opened.store.disable_key(name, int(system_clock())):
            typer.echo(f"{name} is disabled; running gateways refuse it within ten seconds.")
        else:
            typer.echo(f"{name} was disabled before.")
        return 0

    return run_with_keys(config, work)


def try_key(key: str, config: Path | None) -> int:
    """Say whose key this is; 1 unless it works."""
    text = (sys.stdin.readline() if key == STDIN else key).strip()

    async def work(_: Settings, opened: OpenKeys) -> int:
        if not is_key(text):
            raise StoreError("This is no key of the gateway: its form or its checksum is wrong.")
        found = await opened.store.find_key(opened.peppers.digests(text))
        if found is None:
            raise StoreError("This key is in the form of one, and not known here.")
        for line in describe_key(found, system_clock()):
            typer.echo(line)
        return 0 if found.state_at(system_clock()) == "active" else 1

    return run_with_keys(config, work)


def _hash(key: str, peppers: Peppers, now: int) -> StoredSecret:
    return StoredSecret(peppers.digest(key), peppers.newest, shown_part(key), now)


def _hand_over(name: str, key: str, settings: Settings) -> None:
    typer.echo(key)
    typer.echo(f"This is the key of {name}; it is not shown again.", err=True)
    if not settings.wants_stored_keys:
        typer.echo(
            "No gateway asks for it yet: gateway.yaml needs `auth: [{kind: gateway_key}]`.",
            err=True,
        )


def _as_json(key: StoredKey) -> dict[str, object]:
    return {
        "name": key.name,
        "state": key.state_at(system_clock()),
        "tenant": key.tenant,
        "groups": key.groups,
        "providers": key.providers,
        "models": key.models,
        "networks": key.networks,
        "created_at": render_time(key.created_at),
        "expires_at": render_time(key.expires_at),
        "disabled_at": render_time(key.disabled_at),
        "secrets": [
            {
                "prefix": secret.prefix,
                "pepper": secret.pepper,
                "created_at": render_time(secret.created_at),
                "expires_at": render_time(secret.expires_at),
            }
            for secret in key.secrets
        ],
    }


def _check_list(field: str, values: Sequence[str]) -> tuple[str, ...]:
    option = f"--{field.removesuffix('s')}"
    if field == "networks":
        return tuple(sorted({_read_network(option, value) for value in values}))
    for value in values:
        if field == "models":
            if _MODEL.fullmatch(value) is None:
                raise typer.BadParameter("needs to be PROVIDER/MODEL", param_hint=option)
        else:
            _check(option, value, _FORMS[field])
    return tuple(sorted(set(values)))


def _check(option: str, value: str, form: str) -> None:
    if re.fullmatch(form, value) is None:
        raise typer.BadParameter(f"needs to be {forms.MEANINGS[form]}", param_hint=option)


def _read_network(option: str, text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write it as 10.1.0.0/16", param_hint=option) from None


def _read_duration(option: str, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
