"""Stored keys in the chain: beside written ones and beside everybody."""

import hashlib
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.auth.stored_keys import StoredKeys
from gateway.auth.wrong_keys import WRONG_KEYS_PER_MINUTE
from gateway.config.settings import GatewayKeyAuth, Settings
from gateway.config.token_auth import SupabaseCookieAuth
from gateway.core.gateway_key import make_key
from gateway.core.tasks import Tasks
from gateway.stores.opening import OpenKeys
from tests.plugins.anybody import ANYBODY
from tests.plugins.chain import LogLines, StartChain
from tests.plugins.stored_keys import FickleStore, new_key

WRITTEN_KEY = "gw_written-in-the-file"
WRITTEN = GatewayKeyAuth(
    kind="gateway_key",
    keys={"wendy": "sha256:" + hashlib.sha256(WRITTEN_KEY.encode()).hexdigest()},
)
STORED = GatewayKeyAuth(kind="gateway_key")
SESSIONS = SupabaseCookieAuth(kind="supabase_cookie", url="https://abc.supabase.co")
Case = tuple[dict[str, tuple[str, ...]], bytes, int, str | None]
QUESTION = b'{"model":"%s","messages":[{"role":"user","content":"Hi"}]}'


@pytest.fixture
def store(sqlite_keys: OpenKeys) -> FickleStore:
    """The store that the chain asks."""
    return FickleStore(sqlite_keys.store)


@pytest.fixture
async def stored_keys(
    sqlite_keys: OpenKeys, store: FickleStore, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StoredKeys]:
    """What the app would open; on a busy machine an answer may take a while."""
    monkeypatch.setattr("gateway.auth.stored_keys.ANSWER_S", 10.0)
    tasks = Tasks(lambda _, error: pytest.fail(str(error)))
    yield StoredKeys(OpenKeys(store, sqlite_keys.peppers, sqlite_keys.revision), tasks)
    await tasks.cancel()


@pytest.mark.parametrize(
    "methods", [(STORED,), (WRITTEN, STORED), (STORED, WRITTEN, ANYBODY)], ids=str
)
async def test_stored_and_written_keys_stand_beside_each_other(
    start_chain: StartChain,
    sqlite_keys: OpenKeys,
    stored_keys: StoredKeys,
    methods: tuple[GatewayKeyAuth, ...],
) -> None:
    """In any order; and a wrong key is nobody's, also where showing none is allowed."""
    key, stored = new_key(sqlite_keys.peppers, tenant="acme", groups=("a",))
    await sqlite_keys.store.save_key(stored)
    chain = await start_chain(settings=Settings(auth=methods), stored_keys=stored_keys)

    assert (await chain.ask(headers=[("x-api-key", key)])).status == 200
    principal = (await chain.wait_settled()).principal
    assert principal is not None
    assert (principal.name, principal.tenant, principal.groups) == ("alice", "acme", ("a",))
    is_written = WRITTEN in methods
    written = await chain.ask(headers=[("Authorization", f"Bearer {WRITTEN_KEY}")])
    assert written.status == (200 if is_written else 401)
    assert (await chain.ask(headers=[("x-api-key", make_key())])).status == 401
    assert (await chain.ask()).status == (200 if ANYBODY in methods else 401)


async def test_why_a_key_is_refused_is_not_told(
    start_chain: StartChain, sqlite_keys: OpenKeys, stored_keys: StoredKeys, log_lines: LogLines
) -> None:
    """Unknown, ended, expired and no key at all read alike (E01); the log says which."""
    disabled, first = new_key(sqlite_keys.peppers, "alice", disabled_at=1)
    expired, second = new_key(sqlite_keys.peppers, "bob", expires_at=1)
    for stored in (first, second):
        await sqlite_keys.store.save_key(stored)
    chain = await start_chain(settings=Settings(auth=(STORED,)), stored_keys=stored_keys)

    replies = [
        await chain.ask(headers=[("x-api-key", key)])
        for key in (disabled, expired, make_key(), "gw_x", "\udcff")
    ]

    assert {reply.status for reply in replies} == {401}
    assert len({reply.json()["message"] for reply in replies}) == 1
    assert [(line["key"], line["reason"]) for line in log_lines.find("key.refused")] == [
        ("alice", "disabled"),
        ("bob", "expired"),
    ]
    assert not any(key in log_lines.text for key in (disabled, expired))


async def test_a_store_that_is_down_is_503_and_never_401(
    start_chain: StartChain, store: FickleStore, stored_keys: StoredKeys
) -> None:
    """Nobody looks for a mistake in a key that is right (E13)."""
    store.is_down = True
    chain = await start_chain(settings=Settings(auth=(STORED, ANYBODY)), stored_keys=stored_keys)

    reply = await chain.ask(headers=[("x-api-key", make_key())])

    assert (reply.status, reply.json()["error"]["code"]) == (503, "auth_unavailable")
    assert 1 <= int(reply.headers["retry-after"]) <= 4


@pytest.mark.parametrize("wrong", [make_key, lambda: "a typo"], ids=["a key", "no key"])
async def test_a_flood_of_wrong_keys_is_429(
    start_chain: StartChain,
    store: FickleStore,
    stored_keys: StoredKeys,
    wrong: Callable[[], str],
) -> None:
    """It reaches the store no more, and a key of another method is none of it (E11)."""
    chain = await start_chain(settings=Settings(auth=(STORED, WRITTEN)), stored_keys=stored_keys)
    for _ in range(WRONG_KEYS_PER_MINUTE):
        await chain.ask(headers=[("x-api-key", wrong())])
    asked = store.questions

    replies = [await chain.ask(headers=[("x-api-key", wrong())]) for _ in range(2)]

    last = replies[-1]
    assert (last.status, last.json()["error"]["code"]) == (429, "too_many_wrong_keys")
    assert int(last.headers["retry-after"]) >= 1
    assert store.questions <= asked + 1
    assert (await chain.ask(headers=[("x-api-key", WRITTEN_KEY)])).status == 200


@pytest.mark.parametrize("methods", [(STORED, SESSIONS), (SESSIONS, STORED)], ids=["1st", "2nd"])
async def test_wrong_keys_count_whatever_is_sent_along(
    start_chain: StartChain,
    store: FickleStore,
    stored_keys: StoredKeys,
    methods: tuple[GatewayKeyAuth | SupabaseCookieAuth, ...],
) -> None:
    """What is said of a broken cookie is about the cookie; the store was asked for the key."""
    chain = await start_chain(settings=Settings(auth=methods), stored_keys=stored_keys)
    cookie = ("Cookie", f"{SESSIONS.cookie}=broken")
    for _ in range(WRONG_KEYS_PER_MINUTE):
        reply = await chain.ask(headers=[("x-api-key", make_key()), cookie])
        assert (reply.status, "cookie cannot be read" in reply.json()["message"]) == (401, True)
    asked = store.questions

    replies = [await chain.ask(headers=[("x-api-key", make_key()), cookie]) for _ in range(2)]

    assert (replies[-1].status, replies[-1].json()["error"]["code"]) == (429, "too_many_wrong_keys")
    assert store.questions <= asked + 1


async def test_a_key_of_another_method_is_never_a_wrong_one(
    start_chain: StartChain, stored_keys: StoredKeys
) -> None:
    """However often it comes, and wherever its method stands in the list."""
    chain = await start_chain(settings=Settings(auth=(STORED, WRITTEN)), stored_keys=stored_keys)

    statuses = {
        (await chain.ask(headers=[("x-api-key", WRITTEN_KEY)])).status
        for _ in range(WRONG_KEYS_PER_MINUTE + 2)
    }

    assert statuses == {200}


@pytest.mark.parametrize(
    "case",
    [
        ({"providers": ("groq",)}, b"groq/x", 200, None),
        ({"providers": ("other",)}, b"groq/x", 403, "provider_not_allowed"),
        ({"models": ("groq/x",)}, b"groq/x", 200, None),
        ({"models": ("groq/x",)}, b"groq/y", 403, "model_not_allowed"),
        ({"networks": ("10.0.0.0/8",)}, b"groq/x", 403, "address_not_allowed"),
        ({"networks": ("127.0.0.0/8",)}, b"groq/x", 200, None),
    ],
    ids=str,
)
async def test_a_key_is_good_for_what_it_is_for(
    start_chain: StartChain, sqlite_keys: OpenKeys, stored_keys: StoredKeys, case: Case
) -> None:
    """The rest is 403, with a sentence and a code of its own (E12)."""
    rights, model, status, code = case
    key, stored = new_key(sqlite_keys.peppers, **rights)
    await sqlite_keys.store.save_key(stored)
    chain = await start_chain(settings=Settings(auth=(STORED,)), stored_keys=stored_keys)

    reply = await chain.ask(
        "POST",
        "/v1/chat/completions",
        headers=[("x-api-key", key)],
        body=QUESTION % model,
    )

    assert reply.status == status
    assert reply.json().get("error", {}).get("code") == code
