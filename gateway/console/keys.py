"""`/keys` on the admin listener: what `gateway keys` does, for programs.

The rule here: a change is finished and logged once it has begun, also when whoever asked for it
has left. A key is shown once, in the answer to what made it.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from aiohttp import web

from gateway.console.bodies import OPTIONAL_TEXT, TEXT, TEXTS, read_fields
from gateway.console.guard import ADMIN, CLIENT
from gateway.core.admin_errors import (
    KeysNotStoredError,
    StoredKeyDisabledError,
    StoredKeyExistsError,
    StoredKeyExpiredError,
    StoredKeyNotFoundError,
    StoreUnavailableError,
)
from gateway.core.clock import Clock, system_clock
from gateway.core.durations import render_time
from gateway.core.errors import (
    GatewayError,
    InternalError,
    InvalidRequestError,
    ShuttingDownError,
)
from gateway.core.retry_after import come_back
from gateway.core.tasks import Tasks
from gateway.stores.errors import (
    KeyDisabledError,
    KeyExistsError,
    KeyExpiredError,
    KeyNotFoundError,
    StoreError,
    UnknownKeyError,
)
from gateway.stores.issuing import (
    LISTS,
    KeyFieldError,
    check_name,
    check_providers,
    check_wanted,
    create_key,
    describe_key,
    find_by_key,
    read_duration,
    rotate_key,
)
from gateway.stores.opening import OpenKeys

FINISH_S = 2.0  # for changes under way, when the gateway stops
PAGE_KEYS = 100
PAGE_KEYS_MAX = 1_000
OVERLAP = "24h"

_NEW_KEY = {"name": TEXT, "tenant": TEXT, **dict.fromkeys(LISTS, TEXTS), "expires": OPTIONAL_TEXT}
_TRIED = {"key": TEXT}
_ROTATION = {"overlap": TEXT}
_NOTHING: dict[str, str] = {}

_log = structlog.get_logger()

ResultT = TypeVar("ResultT")


class KeyDesk:
    """Makes and ends stored keys for admins."""

    def __init__(
        self,
        find_opened: Callable[[], OpenKeys | None],
        tasks: Tasks,
        *,
        clock: Clock = system_clock,
    ) -> None:
        self._find_opened = find_opened
        self._tasks = tasks
        self._clock = clock
        self._is_closed = False

    @property
    def now(self) -> int:
        """The time, in whole seconds."""
        return int(self._clock())

    @property
    def opened(self) -> OpenKeys:
        """The store; KeysNotStoredError where this gateway has none."""
        if self._is_closed:
            raise _stopping()
        opened = self._find_opened()
        if opened is None:
            raise KeysNotStoredError(
                "No gateway asks for stored keys yet: gateway.yaml needs "
                "`auth: [{kind: gateway_key}]`."
            )
        return opened

    async def close(self) -> None:
        """Begin no change any more, and let those end that have begun; before the store closes."""
        self._is_closed = True
        await self._tasks.wait(FINISH_S)
        await self._tasks.cancel()

    async def finish(self, name: str, change: Coroutine[Any, Any, ResultT]) -> ResultT:
        """What a change gives; it goes on when the caller leaves.

        Raises what the change raised, InternalError where it crashed, and a 503 once the gateway
        stops.
        """
        if self._is_closed:  # since the store was asked for: the body was waited for
            change.close()
            raise _stopping()
        ended: asyncio.Future[ResultT | GatewayError] = asyncio.get_running_loop().create_future()
        self._tasks.spawn(name, _run(change, ended))
        await asyncio.wait([ended])  # which, other than `await`, does not cancel it with us
        if ended.cancelled():
            raise InternalError("The gateway failed; its log has the reason.")
        result = ended.result()
        if isinstance(result, GatewayError):
            raise result
        return result


DESK: web.AppKey[KeyDesk] = web.AppKey("key_desk", KeyDesk)
"""Set by `admin`."""
PROVIDERS: web.AppKey[Collection[str]] = web.AppKey("providers")
"""Those that a key can be for; set by whoever runs a gateway."""


async def list_keys(request: web.Request) -> web.Response:
    """List keys by name, page by page, without the secrets themselves."""
    desk = request.app[DESK]
    limit = _read_limit(request.query.get("limit", str(PAGE_KEYS)))
    after = _read_after(request.query.get("after", ""))
    try:
        # One more than is shown: whether there is another page.
        keys = await desk.opened.store.fetch_keys(after=after, limit=limit + 1)
    except StoreError as error:
        raise _translate(error) from None
    return web.json_response(
        {
            "keys": [describe_key(key, desk.now) for key in keys[:limit]],
            "next": keys[limit - 1].name if len(keys) > limit else None,
        }
    )


async def show_key(request: web.Request) -> web.Response:
    """Show one key, without the secret itself."""
    desk, name = request.app[DESK], _name_of(request)
    try:
        key = await desk.opened.store.fetch_key(name)
    except StoreError as error:
        raise _translate(error) from None
    return web.json_response(describe_key(key, desk.now))


async def make_key(request: web.Request) -> web.Response:
    """Create a key and show it."""
    desk = request.app[DESK]
    opened = desk.opened
    fields = await read_fields(request, _NEW_KEY)
    try:
        wanted = check_wanted(
            fields.get("name", ""),
            tenant=fields.get("tenant", ""),
            lists={field: fields.get(field, ()) for field in LISTS},
            expires=fields.get("expires"),
            now=desk.now,
        )
        if PROVIDERS in request.app:
            check_providers(wanted, request.app[PROVIDERS])
    except KeyFieldError as error:
        raise _invalid(error) from None

    async def change() -> web.Response:
        key, stored = await create_key(opened, wanted, desk.now)
        _note("key.created", request, wanted.name)
        shown = {"key": key, **describe_key(stored, desk.now)}
        return web.json_response(shown, status=201, headers={"Location": f"/keys/{wanted.name}"})

    return await desk.finish("create a key", change())


async def renew_key(request: web.Request) -> web.Response:
    """Give the holder a new key and show it; the old one works until the overlap is over."""
    desk, name = request.app[DESK], _name_of(request)
    opened = desk.opened
    fields = await read_fields(request, _ROTATION)
    try:
        overlap_s = read_duration("overlap", fields.get("overlap", OVERLAP))
    except KeyFieldError as error:
        raise _invalid(error) from None

    async def change() -> web.Response:
        key, old_ends_at = await rotate_key(opened, name, overlap_s, desk.now)
        _note("key.rotated", request, name)
        return web.json_response(
            {"key": key, "name": name, "old_key_ends_at": render_time(old_ends_at)}
        )

    return await desk.finish("rotate a key", change())


async def try_key(request: web.Request) -> web.Response:
    """Say whose key this is and whether it works, without calling anybody."""
    desk = request.app[DESK]
    opened = desk.opened
    fields = await read_fields(request, _TRIED)
    try:
        found = await find_by_key(opened, fields.get("key", ""))
    except StoreError as error:
        raise _translate(error) from None
    return web.json_response(describe_key(found, desk.now))


async def end_key(request: web.Request) -> web.Response:
    """Disable a key; running gateways refuse it within ten seconds."""
    desk, name = request.app[DESK], _name_of(request)
    opened = desk.opened
    await read_fields(request, _NOTHING)

    async def change() -> web.Response:
        is_new = await opened.store.disable_key(name, desk.now)
        if is_new:
            _note("key.disabled", request, name)
        return web.json_response({"name": name, "state": "disabled", "was_disabled": not is_new})

    return await desk.finish("disable a key", change())


ROUTES = (
    web.get("/keys", list_keys, allow_head=False),
    web.route("POST", "/keys", make_key),
    web.route("POST", "/keys/test", try_key),
    web.get("/keys/{name}", show_key, allow_head=False),
    web.route("POST", "/keys/{name}/rotate", renew_key),
    web.route("POST", "/keys/{name}/disable", end_key),
)


async def _run(
    change: Coroutine[Any, Any, ResultT], ended: "asyncio.Future[ResultT | GatewayError]"
) -> None:
    try:
        ended.set_result(await change)
    except StoreError as error:
        ended.set_result(_translate(error))
    finally:
        ended.cancel()  # nothing when there is a result; otherwise nobody waits for ever


def _stopping() -> ShuttingDownError:
    return ShuttingDownError("The gateway is stopping; nothing was changed.", headers=come_back())


def _note(event: str, request: web.Request, name: str) -> None:
    """The line by which a change is found again."""
    _log.info(event, key=name, admin=request[ADMIN], client=request[CLIENT])


def _name_of(request: web.Request) -> str:
    name = request.match_info["name"]
    with suppress(KeyFieldError):
        check_name(name)
        return name
    # What no key can be called is not asked for, and not repeated.
    raise StoredKeyNotFoundError("There is no key of that name; GET /keys lists them.")


def _read_limit(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= PAGE_KEYS_MAX:
        return int(text)
    raise InvalidRequestError(
        f"`limit` needs to be a number from 1 to {PAGE_KEYS_MAX}.", param="limit"
    )


def _read_after(text: str) -> str:
    if text:
        try:
            check_name(text)
        except KeyFieldError:
            raise InvalidRequestError(
                "`after` needs to be the name of a key.", param="after"
            ) from None
    return text


def _invalid(error: KeyFieldError) -> InvalidRequestError:
    return InvalidRequestError(f"`{error.field}` {error}.", param=error.field)


def _translate(error: StoreError) -> GatewayError:
    """What a store refuses, as an answer; its sentences hold no address with a password."""
    sentence = str(error)
    match error:
        case KeyExistsError():
            return StoredKeyExistsError(sentence)
        case KeyNotFoundError() | UnknownKeyError():
            return StoredKeyNotFoundError(sentence)
        case KeyDisabledError():
            return StoredKeyDisabledError(sentence)
        case KeyExpiredError():
            return StoredKeyExpiredError(sentence)
        case _:
            _log.error("admin.failed", reason=sentence)
            return StoreUnavailableError(
                "The database of keys does not answer. Try again in a moment.",
                headers=come_back(),
            )
