"""`GET /api/profile/keys`, `GET`, `PUT` and `DELETE /api/profile/keys/{provider}`.

The rule here: an answer never holds a credential, nor anything that was sent as one.
"""

import asyncio
from http import HTTPStatus

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError
from pydantic import SecretStr

from gateway.config.registry import Provider
from gateway.core.durations import render_time
from gateway.core.errors import (
    BodyTooLargeError,
    CredentialNotSetError,
    MalformedRequestError,
    NotFoundError,
    ProviderNotAllowedError,
    ProviderNotFoundError,
    RequestRateExceededError,
    RequestTimeoutError,
)
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.key_holder import KeyHolder
from gateway.core.throttle import Throttle
from gateway.credentials.opening import PROFILE_KEYS
from gateway.credentials.own_endpoints import unfilled
from gateway.credentials.profile_keys import ProfileKey, ProfileKeys, check_key_text
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import REGISTRY, SETTINGS
from gateway.wire.checks import refuse
from gateway.wire.strict_json import parse_object

MAX_BODY_BYTES = 16 * 1024
PER_MINUTE = 60  # questions and changes of one caller

THROTTLE: web.AppKey[Throttle] = web.AppKey("profile_throttle", Throttle)
"""How often each caller has asked; set by `app`."""


async def list_profile_keys(request: web.Request) -> web.Response:
    """Every credential of the caller's profile."""
    keys, principal = _find_profile(request)
    found = await keys.fetch(principal)
    providers = request.app[REGISTRY].providers.values()
    return web.json_response(
        {
            "keys": [
                _describe(provider, found[provider.key])
                for provider in providers
                if provider.key in found and _may_have(principal, provider)
            ]
        }
    )


async def show_profile_key(request: web.Request) -> web.Response:
    """One of them, but not its value."""
    keys, principal = _find_profile(request)
    provider = _find_provider(request, principal)
    found = (await keys.fetch(principal)).get(provider.key)
    if found is None:
        raise _not_set(provider)
    return web.json_response(_describe(provider, found))


async def set_profile_key(request: web.Request) -> web.Response:
    """Keep a credential, in place of the one there was."""
    keys, principal = _find_profile(request)
    provider = _find_provider(request, principal)
    if provider.is_placeholder:
        raise unfilled(provider)  # what is set would never be used
    secret = read_key(await _read_body(request))
    return web.json_response(_describe(provider, await keys.save(principal, provider.key, secret)))


async def delete_profile_key(request: web.Request) -> web.Response:
    """Forget a credential."""
    keys, principal = _find_profile(request)
    provider = _find_provider(request, principal)
    if not await keys.delete(principal, provider.key):
        raise _not_set(provider)
    return web.Response(status=HTTPStatus.NO_CONTENT)


def read_key(body: bytes) -> SecretStr:
    """The credential in `{"key": "…"}`."""
    key = parse_object(body).get("key")
    if type(key) is not str:
        raise refuse("key", "a string")
    return check_key_text(key, "`key`")


def _find_profile(request: web.Request) -> tuple[ProfileKeys, Principal]:
    keys = request.app.get(PROFILE_KEYS)
    if keys is None:
        raise NotFoundError(
            "There are no profiles here; whoever runs the gateway writes `profiles` in "
            "gateway.yaml."
        )
    principal = request[EXCHANGE].principal or ANONYMOUS
    _refuse_haste(request.app[THROTTLE], f"{principal.kind}:{principal.name}")
    return keys, principal


def _refuse_haste(throttle: Throttle, who: str) -> None:
    """Each question is one to the database, for which no rule of `limits` counts."""
    wait_s = throttle.wait_s(who)
    if wait_s:
        raise RequestRateExceededError(
            f"A profile may be used at most {PER_MINUTE} times a minute; try again in {wait_s} s.",
            headers={"Retry-After": str(wait_s)},
        )
    throttle.count(who)


def _find_provider(request: web.Request, principal: Principal) -> Provider:
    provider = request.app[REGISTRY].providers.get(request.match_info["provider"])
    if provider is None or provider.is_custom:
        raise ProviderNotFoundError("There is no such provider; GET /api/providers lists them.")
    if not _may_have(principal, provider):
        raise ProviderNotAllowedError(f"This key is not for {provider.label}.")
    request[EXCHANGE].provider = provider.name
    return provider


def _may_have(principal: Principal, provider: Provider) -> bool:
    """Whether the caller's key is for this provider; other callers may have any."""
    if not isinstance(principal, KeyHolder) or not principal.providers:
        return True
    return provider.name in principal.providers


async def _read_body(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(request.app[SETTINGS].server.request_body_timeout_s):
            while piece := await request.content.readany():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise RequestTimeoutError("The body did not arrive in time; send it again.") from None
    except RequestPayloadError as error:
        raise MalformedRequestError("The body does not match its headers.") from error
    return bytes(body)


def _too_large() -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")


def _not_set(provider: Provider) -> CredentialNotSetError:
    return CredentialNotSetError(f"Your profile has no key for {provider.label}.")


def _describe(provider: Provider, key: ProfileKey) -> dict[str, str | None]:
    return {
        "provider": provider.name,
        "label": provider.label,
        "last_four": key.last_four,
        "set_at": render_time(key.set_at),
        "last_worked_at": render_time(key.last_worked_at),
        "last_failed_at": render_time(key.last_failed_at),
    }
