"""Group E: the session of a chat front end, on a real gateway with a real issuer.

The rule here: a browser sends the cookie whichever page asks; it counts for the gateway's own ones.
"""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.anybody import ENTRY
from tests.plugins.issuer import Issuer
from tests.plugins.scene import AUTH, AUTHORIZATION, CHAT, error_of
from tests.plugins.showing import open_with, refusal, show

COOKIE = "sb-127-auth-token"
ORIGIN = "Origin: http://127.0.0.1"


def session_of(token: str, padding: int = 3000) -> str:
    """The headers' value of a session: URL-encoded JSON, in parts."""
    user = {"id": "u", "email": "ann@example.org", "about": "x" * padding}
    value = quote(json.dumps({"access_token": token, "refresh_token": "r", "user": user}))
    parts = [value[at : at + 3180] for at in range(0, len(value), 3180)]
    return "; ".join(f"{COOKIE}.{number}={piece}" for number, piece in enumerate(parts))


def project(issuer: Issuer, secret: str, **fields: Any) -> dict[str, Any]:
    """The entry of a Supabase project; its issuer is the test's."""
    return {
        "kind": "supabase_cookie",
        "url": "http://127.0.0.1:54321",
        "issuer": issuer.url,
        "secret": secret,
        **fields,
    }


def access_token(issuer: Issuer, **changed: Any) -> str:
    """A session's token."""
    return issuer.token("HS256", **{"aud": "authenticated", **changed})


async def test_a_front_end_keeps_its_login(
    issuer: Issuer, open_scene: OpenScene, issuer_secret: str
) -> None:
    """chat-contract 2: the cookie in parts, and what a browser adds by itself."""
    scene = await open_with(open_scene, project(issuer, issuer_secret))
    cookie = f"Cookie: theme=dark; {session_of(access_token(issuer))}"

    heard = await show(scene, None, cookie, ORIGIN, path=CHAT)
    assert heard.status == 200
    heard = await show(scene, None, cookie, path="/api/keys", verb="GET")
    assert heard.status == 200
    lines = await scene.gateway.log.wait_for_settled(2)
    assert {line["principal"] for line in lines} == {"ann"}
    assert access_token(issuer).split(".")[1] not in scene.gateway.log.getvalue()


async def test_a_project_that_publishes_its_keys_needs_no_secret(
    issuer: Issuer, open_scene: OpenScene
) -> None:
    """Newer ones do, and during a change both sorts of token are about."""
    entry = project(issuer, "", jwks_url=issuer.keys_url, allow_private=True)
    entry.pop("secret")
    scene = await open_with(open_scene, entry)
    token = issuer.token("ES256", aud="authenticated")

    heard = await show(scene, None, f"Cookie: {session_of(token)}", ORIGIN, path=CHAT)

    assert heard.status == 200
    assert issuer.key_requests == 1


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Origin: https://evil.example",),
        ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site"),
        ("Origin: http://127.0.0.1", "Sec-Fetch-Site: cross-site"),
        ("Origin: null",),
        ("Sec-Fetch-Site: same-site",),
    ],
    ids=str,
)
async def test_a_foreign_page_does_not_spend_somebody_s_money(
    issuer: Issuer, open_scene: OpenScene, issuer_secret: str, headers: tuple[str, ...]
) -> None:
    """A browser sends the cookie whichever page asks, and text/plain needs no preflight."""
    listed = {"server": {"cors_origins": ["https://chat.example.org"]}}
    scene = await open_with(open_scene, project(issuer, issuer_secret), ENTRY, settings=listed)
    cookie = f"Cookie: {session_of(access_token(issuer))}"

    assert "server.cors_origins" in await refusal(scene, None, cookie, *headers)
    heard = await show(scene, None, cookie, "Origin: https://chat.example.org", path=CHAT)
    assert heard.status == 200


async def test_a_session_that_is_wrong_says_to_sign_in(
    issuer: Issuer, open_scene: OpenScene, issuer_secret: str
) -> None:
    """What the front end shows is `message`."""
    scene = await open_with(open_scene, project(issuer, issuer_secret))
    whole = session_of(access_token(issuer), 9000)
    first, _, rest = whole.partition("; ")
    sentences = [
        await refusal(scene, None, f"Cookie: {cookie}", ORIGIN)
        for cookie in (
            session_of(access_token(issuer, exp=1)),
            rest,
            first,
            f"{COOKIE}=%ff",
            f"{COOKIE}=\udcff",
            f"{COOKIE}=base64-%%%",
        )
    ]

    assert all(sentence.endswith("Please sign in again.") for sentence in sentences)


async def test_a_key_counts_beside_a_session_that_does_not(
    issuer: Issuer, open_scene: OpenScene, issuer_secret: str
) -> None:
    """The first method that recognises the caller wins, whatever the others found."""
    scene = await open_scene(settings={"auth": [project(issuer, issuer_secret), *AUTH]})
    cookie = f"Cookie: {session_of(access_token(issuer, exp=1))}"

    heard = await show(scene, None, cookie, AUTHORIZATION)

    assert heard.status == 200
    assert (await scene.settled())["principal"] == "alice"


async def test_a_key_counts_while_an_issuer_cannot_be_asked(
    issuer: Issuer, open_scene: OpenScene
) -> None:
    """E13: a front end's cookie comes along with every request, whatever else it shows."""
    entry = project(issuer, "", jwks_url=issuer.keys_url, allow_private=True)
    entry.pop("secret")
    scene = await open_scene(settings={"auth": [entry, *AUTH, ENTRY]})
    token = issuer.token("ES256", aud="authenticated")
    cookie = f"Cookie: {session_of(token)}"
    await issuer.stop()

    assert (await show(scene, None, cookie, ORIGIN, AUTHORIZATION)).status == 200
    heard = await show(scene, None, cookie, ORIGIN)
    assert error_of(heard) == (503, "auth_unavailable")


@pytest.mark.parametrize(
    ("first", "says"), [("cookie", "Please sign in"), ("token", "A token is needed")]
)
async def test_who_shows_nothing_hears_what_is_wanted(
    issuer: Issuer, open_scene: OpenScene, issuer_secret: str, first: str, says: str
) -> None:
    """By the first method of the list, which is what the operator has in mind."""
    entries = {"cookie": project(issuer, issuer_secret), "token": issuer.spec()}
    scene = await open_scene(settings={"auth": [entries[first], *AUTH]})

    assert says in await refusal(scene, None)
