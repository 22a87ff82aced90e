"""Nobody is let in who was not meant."""

import hashlib

import pytest
from pydantic import SecretStr

from gateway.config.load import Registry
from gateway.config.settings import AnonymousAuth, GatewayKeyAuth, ServerSpec, Settings
from gateway.config.token_auth import JwtAuth
from gateway.core.credential import Credential
from gateway.middleware.authenticate import UnsafeBindError, is_loopback, refuse_unsafe_bind
from tests.plugins.anybody import ANYBODY
from tests.plugins.chain import LogLines, StartChain, make_registry
from tests.plugins.issuer import forge

KEY = "gw-alice-0123456789"
OTHER = "gw-bob-0123456789"


def digest(key: str) -> str:
    """What gateway.yaml holds of a key."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


KEYS = GatewayKeyAuth(kind="gateway_key", keys={"alice": digest(KEY)})
MORE_KEYS = GatewayKeyAuth(kind="gateway_key", keys={"bob": digest(OTHER)})
TOKENS = JwtAuth(
    kind="jwt", issuer="https://login.example.org", audience="gateway", algorithms=("RS256",)
)

Headers = list[tuple[str, str]]


async def test_a_direct_call_from_this_machine_needs_nothing(start_chain: StartChain) -> None:
    """`make run` and a curl line: that is the first minute."""
    chain = await start_chain()

    assert (await chain.ask()).status == 200
    principal = (await chain.wait_settled()).principal
    assert principal is not None
    assert (principal.name, principal.kind) == ("local", "anonymous")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:8080"]
)
async def test_every_name_of_this_machine_is_known(start_chain: StartChain, host: str) -> None:
    """People type what they are used to."""
    chain = await start_chain()

    assert (await chain.ask(headers=[("Host", host)])).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "evil.example")],
        [("Host", "127.0.0.1.evil.example")],
        [("Host", "localhost.evil.example:8080")],
        [("Host", "127.0.0.999")],
        [("Host", "10.0.0.1")],
        [("Host", "")],
        [("Forwarded", "for=1.2.3.4")],
        [("X-Forwarded-For", "127.0.0.1")],
        [("x-forwarded-proto", "https")],
        [("X-Forwarded-Anything", "")],
        [("X-Real-IP", "127.0.0.1")],
        [("Via", "1.1 nginx")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "Cross-Site")],
        [("Origin", "http://evil.example")],
        [("Origin", "https://localhost.evil.example:8080")],
        [("Origin", "null")],
    ],
    ids=str,
)
async def test_what_may_speak_for_a_stranger_is_401(
    start_chain: StartChain, headers: Headers
) -> None:
    """Behind nginx, loopback is the internet; and a web page can call localhost."""
    chain = await start_chain()

    reply = await chain.ask(headers=headers)

    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert (
        "auth: [{kind: anonymous, requests_per_minute: 60, concurrent: 10}]"
        in reply.json()["message"]
    )


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "none")],
        [("Origin", "http://localhost:3000")],
        [("Origin", "https://127.0.0.1")],
        [("Origin", "http://[::1]:8080")],
        [("Origin", "tauri://localhost")],
        [("Origin", "app://-")],
    ],
    ids=str,
)
async def test_a_page_of_this_machine_may_call(start_chain: StartChain, headers: Headers) -> None:
    """The front end somebody develops is one, and so is a program's own page."""
    chain = await start_chain()

    assert (await chain.ask(headers=headers)).status == 200


async def test_a_listener_that_others_reach_lets_nobody_in_by_default(
    start_chain: StartChain,
) -> None:
    """Anonymous must be written out."""
    chain = await start_chain(server=ServerSpec(host="0.0.0.0"))

    assert (await chain.ask()).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", f"Bearer {KEY}")],
        [("authorization", f"bearer   {KEY} ")],
        [("x-api-key", KEY)],
        [("Authorization", f"Bearer {KEY}"), ("x-api-key", KEY)],
    ],
    ids=str,
)
async def test_a_known_key_is_recognised(start_chain: StartChain, headers: Headers) -> None:
    """OpenAI's SDKs send the one, Anthropic's the other."""
    chain = await start_chain(settings=Settings(auth=(KEYS,)))

    assert (await chain.ask(headers=headers)).status == 200
    principal = (await chain.wait_settled()).principal
    assert principal is not None
    assert (principal.name, principal.kind) == ("alice", "gateway_key")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", f"Bearer Bearer {KEY}")],
        [("Authorization", f"Basic {KEY}")],
        [("Authorization", KEY)],
        [("Authorization", f"Bearer {KEY}x")],
        [("Authorization", f"Bearer {KEY[:-1]}")],
        [("Authorization", f"Bearer {digest(KEY)}")],
        [("Authorization", "Bearer ' OR 1=1 --")],
        [("Authorization", "Bearer k\u00e9y")],
        [("Authorization", "Bearer \udcff\udcfe")],
        [("Authorization", "Bearer " + "k" * 8000)],
        [("x-api-key", "")],
    ],
    ids=lambda headers: str(headers)[:60],
)
@pytest.mark.parametrize("methods", [(KEYS,), (KEYS, ANYBODY)], ids=["keys", "keys+anonymous"])
async def test_anything_else_is_401_and_never_500(
    start_chain: StartChain, headers: Headers, methods: tuple[GatewayKeyAuth | AnonymousAuth, ...]
) -> None:
    """A wrong key is refused even where showing none is allowed: its owner has to hear of it."""
    chain = await start_chain(settings=Settings(auth=methods))

    reply = await chain.ask(headers=headers)

    assert reply.status == (200 if not headers and ANYBODY in methods else 401)


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")],
        [("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer x")],
        [("x-api-key", KEY), ("x-api-key", KEY)],
        [("Authorization", f"Bearer {KEY}"), ("x-api-key", "x")],
        [("Authorization", "Basic x"), ("x-api-key", KEY)],
    ],
    ids=str,
)
@pytest.mark.parametrize("methods", [None, (KEYS,), (ANYBODY,)], ids=["none", "keys", "anybody"])
async def test_two_keys_in_one_request_are_400(
    start_chain: StartChain,
    headers: Headers,
    methods: tuple[GatewayKeyAuth | AnonymousAuth, ...] | None,
) -> None:
    """A proxy in front may have looked at the other one."""
    chain = await start_chain(settings=Settings(auth=methods))

    reply = await chain.ask(headers=headers)

    assert (reply.status, reply.json()["error"]["code"]) == (400, "ambiguous_auth")


async def test_the_first_method_that_recognises_the_caller_wins(start_chain: StartChain) -> None:
    """The list is in the operator's order."""
    chain = await start_chain(settings=Settings(auth=(KEYS, MORE_KEYS, ANYBODY)))

    for headers in ([("x-api-key", OTHER)], []):
        await chain.ask(headers=headers)

    names = [one.principal.name for one in chain.exchanges if one.principal is not None]
    assert names == ["bob", "anonymous"]


async def test_a_token_that_is_nobodys_is_told_so_and_not_to_be_a_key(
    start_chain: StartChain,
) -> None:
    """An issuer that lacks its last slash is looked for in the wrong place otherwise."""
    token = forge({"alg": "RS256"}, {"iss": "https://login.example.org/"})
    for methods in ((KEYS, TOKENS), (TOKENS, KEYS)):
        chain = await start_chain(settings=Settings(auth=methods))

        reply = await chain.ask(headers=[("Authorization", f"Bearer {token}")])

        assert reply.status == 401
        assert "not from an issuer" in reply.json()["message"], methods


async def test_where_everybody_may_call_a_key_is_of_no_interest(start_chain: StartChain) -> None:
    """OpenAI's SDKs cannot do without one, and people write any word."""
    chain = await start_chain(settings=Settings(auth=(ANYBODY,)))

    reply = await chain.ask(headers=[("Authorization", "Bearer unused"), ("Host", "chat.example")])

    assert reply.status == 200


async def test_no_key_is_logged_or_sent_back(start_chain: StartChain, log_lines: LogLines) -> None:
    """A key that was mistyped by one letter is nearly a key."""
    chain = await start_chain(settings=Settings(auth=(KEYS,)))

    reply = await chain.ask(headers=[("Authorization", f"Bearer {KEY}x")])

    assert KEY.encode() not in reply.raw
    assert KEY not in log_lines.text


async def test_every_path_of_the_public_listener_is_closed(start_chain: StartChain) -> None:
    """What is there is nobody's business either."""
    chain = await start_chain(settings=Settings(auth=(KEYS,)))

    statuses = {
        path: (await chain.ask(path=path)).status
        for path in ("/api/keys", "/v1/models", "/nothing", "/metrics")
    }

    assert set(statuses.values()) == {401}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_is_recognised(host: str) -> None:
    """In all its spellings."""
    assert is_loopback(host)
    refuse_unsafe_bind(Settings(server=ServerSpec(host="127.0.0.1")), make_registry())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "localhost.x"])
def test_nothing_else_is_loopback(host: str) -> None:
    """A name that resolves to 127.0.0.1 today may not tomorrow."""
    assert not is_loopback(host)


def test_credentials_on_a_reachable_address_need_authentication() -> None:
    """Whoever finds such a gateway spends somebody else's money."""
    with pytest.raises(UnsafeBindError, match=r"groq.*auth.*127\.0\.0\.1"):
        refuse_unsafe_bind(Settings(server=ServerSpec(host="0.0.0.0")), make_registry())


@pytest.mark.parametrize(
    ("settings", "credentials"),
    [
        (
            Settings(server=ServerSpec(host="0.0.0.0"), auth=(ANYBODY,)),
            {"groq": (Credential("X", SecretStr("x")),)},
        ),
        (Settings(server=ServerSpec(host="0.0.0.0")), {}),
    ],
    ids=["written out", "nothing to spend"],
)
def test_what_was_written_out_or_costs_nothing_starts(
    settings: Settings, credentials: dict[str, Credential]
) -> None:
    """Refusing more than that would only teach people to switch the check off."""
    refuse_unsafe_bind(settings, Registry({}, credentials))
