"""Who is let in to what the admin listener shows and changes."""

import hashlib
import re
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.auth.wrong_keys import WRONG_KEYS_PER_MINUTE
from gateway.config.settings import AdminSpec
from gateway.console.guard import OPEN, Guard
from gateway.core.errors import TooManyWrongKeysError, UnauthenticatedError
from tests.plugins.admins import ADMIN, ADMIN_KEY, AUTHORIZATION, JSON, AdminCaller, StartAdmin
from tests.plugins.chain import LogLines
from tests.plugins.stored_keys import SOME_KEY, Clock

NAME = re.compile(r"\{\w+\}")  # in the address of a page
CALLER_KEY = "gw_of-a-caller-written-in-the-file"
CALLER_HASH = f"sha256:{hashlib.sha256(CALLER_KEY.encode()).hexdigest()}"
CALLERS = {"auth": [{"kind": "gateway_key", "keys": {"alice": CALLER_HASH}}]}


def bearer(key: str) -> dict[str, str]:
    """The header with a key."""
    return {"Authorization": f"Bearer {key}"}


async def pages_of(admin: AdminCaller) -> list[tuple[str, str]]:
    """Every method and address that there is, names filled in."""
    assert admin.client.app is not None
    routes = admin.client.app.router.routes()
    return [
        (route.method, NAME.sub("alice", route.resource.canonical))
        for route in routes
        if route.resource is not None
    ]


async def test_every_page_but_three_wants_a_key(start_admin: StartAdmin) -> None:
    """Also the one that is added next: what is open is a closed list (E14)."""
    admin = await start_admin()
    pages = await pages_of(admin)

    statuses = {
        path: (await admin.ask(method, path, headers=JSON)).status for method, path in pages
    }

    assert {path for path, status in statuses.items() if status != 401} == OPEN
    assert len(statuses) > len(OPEN)


async def test_without_admins_the_line_to_write_is_said(start_admin: StartAdmin) -> None:
    """A default that let somebody in would be found by somebody else first."""
    admin = await start_admin({"admin": {}})

    for method, path in await pages_of(admin):
        answer = await admin.ask(method, path, headers={**AUTHORIZATION, **JSON})
        if path in OPEN:
            assert answer.status != 403
        else:
            assert answer.outcome == (403, "admin_keys_missing")
            assert "admin: {keys:" in answer.body["message"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthenticated"),
        (bearer("wrong"), 401, "unauthenticated"),
        (bearer(ADMIN_KEY[:-1]), 401, "unauthenticated"),
        ({"Authorization": f"Basic {ADMIN_KEY}"}, 401, "unauthenticated"),
        ({"Authorization": "Bearer \udcff"}, 401, "unauthenticated"),
        (bearer(CALLER_KEY), 403, "admin_key_needed"),
        (bearer(SOME_KEY), 403, "admin_key_needed"),
        ({**AUTHORIZATION, "x-api-key": "another"}, 400, "ambiguous_auth"),
    ],
    ids=[
        "nothing",
        "a wrong key",
        "a key cut short",
        "another scheme",
        "no text",
        "a caller's key from the file",
        "a caller's key from the store",
        "two keys",
    ],
)
async def test_only_a_key_of_an_admin_opens(
    start_admin: StartAdmin,
    log_lines: LogLines,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    """A caller's key is told apart, so that nobody looks for a mistake in it (E14)."""
    admin = await start_admin(CALLERS)

    answer = await admin.ask("GET", "/keys", headers=headers)

    assert answer.outcome == (status, code)
    assert not any(key in log_lines.text + str(answer.body) for key in (ADMIN_KEY[:-1], CALLER_KEY))
    refused = log_lines.find("admin.refused")
    assert [line["client"] for line in refused] == (
        ["127.0.0.1"] if headers and code != "ambiguous_auth" else []
    )


def ask_guard(guard: Guard, key: str, client: str = "192.0.2.1") -> str:
    """The name of the admin with this key."""
    headers = {**bearer(key), "Host": "localhost"}
    return guard.admit(make_mocked_request("GET", "/keys", headers=headers), client)


def test_guessing_is_ended() -> None:
    """Also for the right key: a weak one would be found by trying on (E11)."""
    clock = Clock()
    guard = Guard(AdminSpec.model_validate(ADMIN), clock=clock)
    for number in range(WRONG_KEYS_PER_MINUTE):
        with pytest.raises(UnauthenticatedError):
            ask_guard(guard, str(number))

    for key in ("x", ADMIN_KEY):
        with pytest.raises(TooManyWrongKeysError) as refused:
            ask_guard(guard, key)
        assert refused.value.headers == {"Retry-After": "1"}

    assert ask_guard(guard, ADMIN_KEY, "192.0.2.2") == "ops"
    clock.now += 1
    assert ask_guard(guard, ADMIN_KEY) == "ops"


async def test_a_flood_is_a_429_and_leaves_what_is_open_open(start_admin: StartAdmin) -> None:
    """Who watches the gateway sees it then too."""
    admin = await start_admin()
    told = (401, "unauthenticated")
    while told == (401, "unauthenticated"):
        told = (await admin.ask("GET", "/keys", headers=bearer("x"))).outcome

    assert told == (429, "too_many_wrong_keys")
    assert (await admin.ask("GET", "/metrics")).status == 200


async def test_behind_a_proxy_each_address_is_counted_for_itself(start_admin: StartAdmin) -> None:
    """Or a stranger could keep every admin waiting (E11)."""
    admin = await start_admin({"server": {"trusted_proxies": ["127.0.0.1"]}})
    stranger = {**bearer("x"), "X-Forwarded-For": "203.0.113.9"}
    while (await admin.ask("GET", "/keys", headers=stranger)).status == 401:
        pass

    own = {**AUTHORIZATION, "X-Forwarded-For": "203.0.113.9, 192.0.2.1"}
    assert (await admin.ask("GET", "/keys", headers=own)).code == "keys_not_stored"


def test_every_digest_is_held_against_every_key() -> None:
    """In the same way, whichever matches: `find` has no early way out."""
    keys = {name: "sha256:" + name * 64 for name in "abcdef"}
    guard = Guard(AdminSpec(keys=keys))

    found = [guard._find(digest) for digest in keys.values()]  # noqa: SLF001 - of no other use

    assert found == list(keys)
    assert guard._find("sha256:" + "0" * 64) is None  # noqa: SLF001 - the same


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
    ids=str,
)
async def test_a_page_of_another_origin_is_refused(
    start_admin: StartAdmin, headers: dict[str, str]
) -> None:
    """Whatever key its visitor's browser could be made to send."""
    admin = await start_admin()

    answer = await admin.ask("GET", "/keys", headers={**AUTHORIZATION, **headers})

    assert answer.outcome == (403, "origin_refused")
    preflight = await admin.ask(
        "OPTIONS", "/keys", headers={**headers, "Access-Control-Request-Method": "POST"}
    )
    assert "Access-Control-Allow-Origin" not in preflight.headers


async def test_its_own_pages_and_programs_are_let_in(start_admin: StartAdmin) -> None:
    """A console that the gateway shows itself, or an address that somebody typed."""
    admin = await start_admin({"auth": [{"kind": "gateway_key"}]})
    own = {"Origin": "http://127.0.0.1:8081", "Host": "127.0.0.1:8081"}

    for headers in (own, {**own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        answer = await admin.ask("GET", "/keys", headers={**AUTHORIZATION, **headers})
        assert answer.code == "keys_not_stored"


@pytest.mark.parametrize(
    ("host", "settings", "is_known"),
    [
        ("localhost:8081", {}, True),
        ("[::1]:8081", {}, True),
        ("127.0.0.2", {}, True),
        ("rebound.evil.example:8081", {}, False),
        ("10.0.0.5:8081", {}, False),
        ("", {}, False),
        ("admin.example.org", {"hosts": ["admin.example.org"]}, True),
        ("ADMIN.example.org:9000", {"hosts": ["Admin.Example.Org"]}, True),
        ("x.admin.example.org", {"hosts": ["admin.example.org"]}, False),
        ("admin.example.org@evil.example", {"hosts": ["admin.example.org"]}, False),
        ("10.0.0.5:8081", {"host": "10.0.0.5"}, True),
        ("[fd00::5]:8081", {"host": "fd00::5"}, True),
        ("0.0.0.0:8081", {"host": "0.0.0.0"}, False),
    ],
)
async def test_the_name_it_is_called_by_has_to_be_known(
    start_admin: StartAdmin, host: str, settings: dict[str, Any], *, is_known: bool
) -> None:
    """A page under a name of its own, which resolves to here, is of this origin to its browser."""
    admin = await start_admin({"admin": {**ADMIN, **settings}})

    answer = await admin.ask("GET", "/keys", headers={**AUTHORIZATION, "Host": host})

    assert answer.code == ("keys_not_stored" if is_known else "host_refused")


@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
async def test_a_change_is_sent_as_json(start_admin: StartAdmin, kind: str | None) -> None:
    """Of these a page may send every one without asking anybody."""
    admin = await start_admin()
    headers = {**AUTHORIZATION, **({} if kind is None else {"Content-Type": kind})}

    for path in ("/keys", "/keys/alice/rotate", "/keys/alice/disable"):
        answer = await admin.ask(
            "POST", path, headers=headers, data=b"{}", skip_auto_headers=["Content-Type"]
        )
        assert answer.outcome == (415, "unsupported_media_type")
