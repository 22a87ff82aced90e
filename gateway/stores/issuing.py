"""Creating and rotating stored keys, for the command line and the admin API.

The rule here: a key's fields are checked here, so both give the same messages. A key is shown once,
to whoever creates it; neither the store nor anything here keeps it.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

import msgspec

from gateway.config import forms
from gateway.core.durations import parse_duration, render_time
from gateway.core.gateway_key import is_key, make_key
from gateway.core.key_holder import parse_network
from gateway.core.moments import parse_date
from gateway.stores.checking_peppers import check_peppers
from gateway.stores.errors import UnknownKeyError
from gateway.stores.keys import StoredKey, StoredSecret, shown_part
from gateway.stores.opening import OpenKeys
from gateway.stores.peppers import Peppers

LISTS = ("groups", "providers", "models", "networks")
"""The fields of a key that are lists."""

_MODEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}/[\x21-\x7e]{1,256}")
_FORMS = {"groups": forms.PRINCIPAL, "providers": forms.PROVIDER_NAME}
_NAMED = {
    "name": "the name of its holder",
    "tenant": "the name of one",
    "groups": "the name of one",
    "providers": "the name of one",
    "models": "the name of one",
}


class KeyFieldError(ValueError):
    """A field of a key is invalid; the message continues the name of the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class WantedKey(msgspec.Struct, frozen=True):
    """A key to be created, with checked fields."""

    name: str
    tenant: str
    groups: tuple[str, ...]
    providers: tuple[str, ...]
    models: tuple[str, ...]
    networks: tuple[str, ...]
    expires_at: int | None  # Unix seconds; None: never


def check_wanted(
    name: str, *, tenant: str, lists: Mapping[str, Iterable[str]], expires: str | None, now: int
) -> WantedKey:
    """The checked fields; KeyFieldError names the first one that is wrong."""
    check_name(name)
    if not name.strip("."):  # HTTP clients would resolve `/keys/../disable`
        raise KeyFieldError("name", "needs a letter or a digit, not dots alone")
    if tenant:
        _check("tenant", tenant, forms.PRINCIPAL)
        _refuse_key("tenant", tenant)
    checked = {field: _check_list(field, lists.get(field, ())) for field in LISTS}
    expires_at = None if expires is None else read_end("expires", expires, now)
    return WantedKey(name=name, tenant=tenant, expires_at=expires_at, **checked)


def check_name(name: str) -> None:
    """Raise KeyFieldError if no key can have this name."""
    _check("name", name, forms.PRINCIPAL)
    _refuse_key("name", name)


def read_duration(field: str, text: str) -> int:
    """The seconds of a duration such as `30d`; KeyFieldError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise KeyFieldError(field, str(error)) from None


def read_end(field: str, text: str, now: int) -> int:
    """The Unix time of a date, or of a duration such as `30d` from now; KeyFieldError."""
    try:
        end = int(parse_date(text)) if "-" in text else now + parse_duration(text)
    except ValueError as error:
        hint = "" if "-" in text else ", or a date such as 2027-01-01"
        raise KeyFieldError(field, f"{error}{hint}") from None
    if end <= now:
        raise KeyFieldError(field, "has passed already")
    return end


def check_providers(wanted: WantedKey, known: Collection[str]) -> None:
    """Raise KeyFieldError if a key is for a provider other than these."""
    for provider in wanted.providers:
        _check_known("providers", provider, known)
    for model in wanted.models:
        _check_known("models", model.partition("/")[0], known)


async def create_key(opened: OpenKeys, wanted: WantedKey, now: int) -> tuple[str, StoredKey]:
    """A new key and its stored record; KeyExistsError, or StoreError for a wrong pepper."""
    key = make_key()
    stored = StoredKey(
        name=wanted.name,
        created_at=now,
        tenant=wanted.tenant,
        groups=wanted.groups,
        providers=wanted.providers,
        models=wanted.models,
        networks=wanted.networks,
        expires_at=wanted.expires_at,
        secrets=(_hash(key, opened.peppers, now),),
    )
    await _check_newest(opened)
    await opened.store.save_key(stored)
    return key, stored


async def rotate_key(opened: OpenKeys, name: str, overlap_s: int, now: int) -> tuple[str, int]:
    """Another key for the same holder, and the latest time at which the old ones end.

    KeyNotFoundError, KeyDisabledError, KeyExpiredError.
    """
    # Fetched first: once the key is saved, nothing may fail before it is handed out.
    holder_ends_at = (await opened.store.fetch_key(name)).expires_at
    key = make_key()
    old_ends_at = now + overlap_s
    secret = _hash(key, opened.peppers, now)
    await _check_newest(opened)
    await opened.store.save_secret(name, secret, others_end_at=old_ends_at)
    return key, old_ends_at if holder_ends_at is None else min(old_ends_at, holder_ends_at)


async def find_by_key(opened: OpenKeys, text: str) -> StoredKey:
    """The key that a text belongs to, with only that secret; UnknownKeyError never quotes it."""
    if not is_key(text):
        raise UnknownKeyError("This is no key of the gateway: its form or its checksum is wrong.")
    found = await opened.store.find_key(opened.peppers.digests(text))
    if found is None:
        raise UnknownKeyError("This key is in the form of one, and not known here.")
    return found


def describe_key(key: StoredKey, now: float) -> dict[str, object]:
    """A key's fields for programs: everything except the key itself."""
    return {
        "name": key.name,
        "state": key.state_at(now),
        "tenant": key.tenant,
        **{field: getattr(key, field) for field in LISTS},
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


async def _check_newest(opened: OpenKeys) -> None:
    """Raise StoreError if others have made keys with another pepper since we opened the store."""
    await check_peppers(opened.store, opened.peppers, {opened.peppers.newest})


def _hash(key: str, peppers: Peppers, now: int) -> StoredSecret:
    return StoredSecret(peppers.digest(key), peppers.newest, shown_part(key), now)


def _refuse_key(field: str, text: str) -> None:
    if is_key(text):  # it would show in every list and log line about its holder
        raise KeyFieldError(field, f"is a key, not {_NAMED[field]}")


def _check_list(field: str, values: Iterable[str]) -> tuple[str, ...]:
    """The values of a list, sorted and without duplicates."""
    return tuple(sorted({_check_item(field, value) for value in values}))


def _check_item(field: str, value: str) -> str:
    if field == "networks":
        try:
            return str(parse_network(value))
        except ValueError:
            raise KeyFieldError(
                field, "needs to be a network, as 10.1.0.0/16, with nothing after its prefix"
            ) from None
    if field == "models":
        if _MODEL.fullmatch(value) is None:
            raise KeyFieldError(field, "needs to be PROVIDER/MODEL")
        _refuse_key(field, value.partition("/")[2])
    else:
        _check(field, value, _FORMS[field])
        _refuse_key(field, value)
    return value


def _check_known(field: str, provider: str, known: Collection[str]) -> None:
    if provider not in known:
        near = get_close_matches(provider, known, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise KeyFieldError(field, f"names {provider}, which is not in the registry{hint}")


def _check(field: str, value: str, form: str) -> None:
    # Not `match` with `$`, which allows a line break at the end.
    if re.fullmatch(form, value) is None:
        raise KeyFieldError(field, f"needs to be {forms.MEANINGS[form]}")
