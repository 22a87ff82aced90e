"""A chatbot-ui deployment keeps its login, its users' keys and their models: over real tables.

The rule here: a caller shows the session cookie and nothing else, as the front end does.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.credentials import lookup_cache
from gateway.simulator import Simulator
from tests.plugins.front_end_tables import FrontEndTables
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.signed_in import (
    COOKIE_AUTH,
    COOKIE_ENVIRON,
    Person,
    bearers,
    cookie_of,
    holders,
    shown,
)

HERS, HIS = "gsk_canary-of-alice-9f8e", "gsk_canary-of-bob-7d6c"
NOT_FOUND = "Groq API Key not found. Please set it in your profile settings."
INCORRECT = "Groq API Key is incorrect. Please fix it in your profile settings."
SETTINGS: dict[str, Any] = {
    "auth": [COOKIE_AUTH],
    # As the operator's manual has it, but for the database: a variable says where that is.
    "profiles": {
        "source": "postgres",
        "table": "profiles",
        "id": "user_id",
        "database": "${SUPABASE_DATABASE}",
    },
}

Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def start(
    start_gateway: StartGateway,
    simulator: Simulator,
    front_end: FrontEndTables,
    monkeypatch: pytest.MonkeyPatch,
) -> Start:
    """Starts gateways with the tables, and the simulator as Groq."""
    for name, value in {**COOKIE_ENVIRON, "SUPABASE_DATABASE": front_end.address}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(lookup_cache, "ANSWER_S", 10.0)  # on a busy machine it may take a while

    async def starting(
        environ: dict[str, str] | None = None, auth: Any = None, **providers: Any
    ) -> Gateway:
        groq = {"base_url": simulator.base_url, "allow_private": True, "retries": 0}
        settings = SETTINGS if auth is None else {**SETTINGS, "auth": auth}
        gateway = await start_gateway(
            providers={"groq": groq, **providers},
            settings=settings,
            environ={**COOKIE_ENVIRON, **(environ or {})},
        )
        gateway.secrets += [HERS, HIS]
        return gateway

    return starting


async def test_every_user_is_served_with_their_own_key(
    start: Start, front_end: FrontEndTables, simulator: Simulator
) -> None:
    """Who has set none, or an empty one, is told where to set it; who has no profile as well."""
    gateway = await start()
    alice = front_end.add_profile(groq_api_key=HERS)
    bob = front_end.add_profile(groq_api_key=HIS)
    empty, null = front_end.add_profile(groq_api_key=""), front_end.add_profile()

    people = [
        Person.with_session(gateway, user)
        for user in (alice, bob, empty, null, "00000000-0000-0000-0000-00000000ffff")
    ]
    said = [await person.chat("groq") for person in people]

    assert [status for status, _ in said] == [200, 200, 500, 500, 500]
    assert {sentence for status, sentence in said if status == 500} == {NOT_FOUND}
    assert shown(simulator) == bearers([HERS, HIS])
    assert [line["credential_id"] for line in gateway.log.settled[:2]] == [
        f"profile:{alice}/groq_api_key",
        f"profile:{bob}/groq_api_key",
    ]


async def test_the_operators_key_comes_first(
    start: Start, front_end: FrontEndTables, simulator: Simulator
) -> None:
    """As in the front end itself; and its flags say which those are, and no others."""
    gateway = await start({"GROQ_API_KEY": CREDENTIAL})
    alice = Person.with_session(gateway, front_end.add_profile(groq_api_key=HERS))

    assert (await alice.chat("groq"))[0] == 200

    assert shown(simulator) == bearers([CREDENTIAL])
    flags = (await alice.ask("GET", "/api/keys"))[1]["isUsingEnvKeyMap"]
    assert (flags["groq"], flags["mistral"]) == (True, False)


async def test_a_key_of_a_profile_raises_no_flag(start: Start, front_end: FrontEndTables) -> None:
    """The front end would lock the field that it is in."""
    gateway = await start()
    alice = Person.with_session(gateway, front_end.add_profile(groq_api_key=HERS))

    _, flags = await alice.ask("GET", "/api/keys")

    assert flags["isUsingEnvKeyMap"]["groq"] is False


async def test_a_key_that_cannot_be_sent_is_said_so_in_both_dialects(
    start: Start, front_end: FrontEndTables, simulator: Simulator
) -> None:
    """Pasted with a blank in it: a header cannot carry that, and the provider is not asked."""
    gateway = await start()
    alice = Person.with_session(gateway, front_end.add_profile(groq_api_key=f"{HERS} {HIS}"))
    question = {"model": "groq/plain", "messages": [{"role": "user", "content": "Hi"}]}

    assert await alice.chat("groq") == (400, INCORRECT)
    status, said = await alice.ask("POST", "/v1/chat/completions", question)

    assert (status, said["error"]["code"]) == (400, "credential_unusable")
    lines = await gateway.log.wait_for_settled(2)
    assert [line["error_code"] for line in lines] == ["credential_unusable"] * 2
    assert shown(simulator) == []


async def test_a_key_that_the_provider_refuses_is_said_so(
    start: Start, front_end: FrontEndTables
) -> None:
    """With the sentence that users know, and not with what the provider repeats."""
    gateway = await start()
    alice = Person.with_session(gateway, front_end.add_profile(groq_api_key=HERS))
    model = f'sim:{{"error": {{"status": 401, "message": "wrong: {HERS}"}}}}'

    assert await alice.chat("groq", model) == (401, INCORRECT)


async def test_what_the_user_changes_counts_soon(
    start: Start,
    front_end: FrontEndTables,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The front end writes it, and nobody tells the gateway."""
    monkeypatch.setattr(lookup_cache, "RENEW_S", 0.0)
    monkeypatch.setattr(lookup_cache, "FRESH_S", 0.0)
    gateway = await start()
    user = front_end.add_profile()
    alice = Person.with_session(gateway, user)
    assert await alice.chat("groq") == (500, NOT_FOUND)

    front_end.set_profile(user, groq_api_key=HERS)
    assert (await alice.chat("groq"))[0] == 200
    front_end.set_profile(user, groq_api_key=HIS)
    assert (await alice.chat("groq"))[0] == 200
    front_end.set_profile(user, groq_api_key=None)
    assert await alice.chat("groq") == (500, NOT_FOUND)

    assert shown(simulator) == bearers([HERS, HIS])


async def test_a_key_that_would_break_the_request_is_not_sent(
    start: Start, front_end: FrontEndTables, simulator: Simulator
) -> None:
    """The front end takes anything: a line break would add a header."""
    gateway = await start()
    user = front_end.add_profile(groq_api_key="gsk_canary\r\nX-Evil: 1")

    status, sentence = await Person.with_session(gateway, user).chat("groq")

    assert (status, sentence) == (400, INCORRECT)
    assert len(simulator.journal) == 0
    assert "X-Evil" not in gateway.log.getvalue()


async def test_the_profile_is_shown_and_not_changed(
    start: Start, front_end: FrontEndTables
) -> None:
    """Its own page may ask; a page of another site may not even that."""
    gateway = await start()
    user = front_end.add_profile(groq_api_key=HERS)
    alice = Person.with_session(gateway, user)
    path = "/api/profile/keys/groq"

    status, listed = await alice.ask("GET", "/api/profile/keys")
    tried = [await alice.ask("DELETE", path), await alice.set_key(HIS, "groq")]
    stranger = Person(gateway, {"Cookie": cookie_of(user), "Sec-Fetch-Site": "cross-site"})
    foreign = await stranger.ask("DELETE", path)

    assert status == 200
    assert [(key["provider"], key["last_four"], key["set_at"]) for key in listed["keys"]] == [
        ("groq", HERS[-4:], None)
    ]
    assert [(status, said["error"]["code"]) for status, said in tried] == [
        (405, "method_not_allowed")
    ] * 2
    assert (foreign[0], foreign[1]["error"]["code"]) == (401, "unauthenticated")


async def test_a_holder_of_a_key_has_no_profile_there(
    start: Start, front_end: FrontEndTables
) -> None:
    """Not even one who is called like a user."""
    user = front_end.add_profile(groq_api_key=HERS)
    gateway = await start(auth=[COOKIE_AUTH, holders(user)])
    holder = Person.with_key(gateway, user)

    assert await holder.chat("groq") == (500, NOT_FOUND)
    status, said = await holder.ask("GET", "/api/profile/keys")
    assert (status, said["error"]["code"]) == (403, "no_profile")


async def test_a_custom_model_is_its_owners_and_at_a_public_address(
    start: Start, front_end: FrontEndTables, simulator: Simulator
) -> None:
    """Whatever a row says, nothing that only the gateway reaches is called (H02, E16)."""
    gateway = await start(custom={"base_url": "models:", "auth": {"required": False}})
    user, other = front_end.add_profile(), front_end.add_profile()
    alice = Person.with_session(gateway, user)
    inside = front_end.add_model(user, simulator.base_url, key=HERS)
    metadata = front_end.add_model(user, "http://169.254.169.254/latest")
    by_name = front_end.add_model(user, "http://localhost:1/v1")
    foreign = front_end.add_model(other, "https://llm.example.org/v1", key=HIS)

    said = [await alice.chat("custom", custom=row) for row in (inside, metadata, by_name)]
    unknown = [await alice.chat("custom", custom=row) for row in (foreign, user, "x", "")]
    openai = {"model": f"custom/{foreign}", "messages": [{"role": "user", "content": "Hi"}]}
    status, answer = await alice.ask("POST", "/v1/chat/completions", openai)

    _, listed = await alice.ask("GET", "/api/providers")
    assert [one["name"] for one in listed["providers"] if one["callable"]] == ["custom"]
    for at, sentence in said:
        assert at == 400
        assert sentence.startswith("Your address for Custom cannot be used: it leads to a")
        assert "allow_private" not in sentence
    assert [at for at, _ in unknown] == [404, 404, 404, 400]
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert len(simulator.journal) == 0


AZURE = {
    "base_url": "https://EXAMPLE.openai.azure.com/openai/v1",
    "label": "Azure OpenAI",
    "auth": {"header": "api-key"},
    "key": "azure_openai_api_key",
    "own_endpoint": {
        "field": "azure_openai_endpoint",
        "models": {
            "gpt-4-turbo-preview": "azure_openai_45_turbo_id",
            "gpt-4-vision-preview": "azure_openai_45_vision_id",
        },
    },
}


async def test_azure_is_the_users_own(
    start: Start, front_end: FrontEndTables, simulator: Simulator
) -> None:
    """With the sentences of the front end for what is missing; and never inside (H02)."""
    gateway = await start(azure=AZURE)
    user = front_end.add_profile(
        azure_openai_api_key="canary-of-azure-0123",
        azure_openai_endpoint=simulator.base_url.removesuffix("/v1"),
        azure_openai_45_turbo_id="mine",
    )
    gateway.secrets.append("canary-of-azure-0123")
    alice = Person.with_session(gateway, user)
    nobody = Person.with_session(gateway, front_end.add_profile())

    said = [
        await alice.chat("azure", "gpt-4o"),
        await alice.chat("azure", "gpt-4-vision-preview"),
        await nobody.chat("azure", "gpt-4-turbo-preview"),
        await alice.chat("azure", "gpt-4-turbo-preview"),
    ]

    assert said[:3] == [
        (400, "Model not found"),
        (400, "Azure resources not found"),
        (500, "Azure OpenAI API Key not found. Please set it in your profile settings."),
    ]
    assert said[3][0] == 400
    assert "it leads to a loopback address. Please fix it" in said[3][1]
    assert len(simulator.journal) == 0


async def test_a_server_that_went_away_is_no_missing_key(
    start: Start, front_end: FrontEndTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are cut and none is let in: 503 for the new ones, the others go on (J07)."""
    gateway = await start()
    alice, bob = (
        Person.with_session(gateway, front_end.add_profile(groq_api_key=key)) for key in (HERS, HIS)
    )
    assert (await alice.chat("groq"))[0] == 200
    monkeypatch.setattr(lookup_cache, "RENEW_S", 0.0)
    monkeypatch.setattr(lookup_cache, "FRESH_S", 0.0)
    monkeypatch.setattr(lookup_cache, "REST_S", 0.0)

    front_end.server.run(f"ALTER DATABASE {front_end.database} ALLOW_CONNECTIONS false;")
    front_end.end_connections()
    assert [(await alice.chat("groq"))[0] for _ in range(3)] == [200] * 3
    status, sentence = await bob.chat("groq")
    assert (status, "not found" in sentence) == (503, False)
    front_end.server.run(f"ALTER DATABASE {front_end.database} ALLOW_CONNECTIONS true;")

    assert (await bob.chat("groq"))[0] == 200


async def test_an_organisation_goes_with_the_key_that_is_of_it(
    start: Start, front_end: FrontEndTables, simulator: Simulator
) -> None:
    """The user's with theirs, or none; the operator's with the operator's alone."""
    openai = {
        "base_url": simulator.base_url,
        "allow_private": True,
        "headers": {"OpenAI-Organization": "org-ours"},
        "profile_headers": {"OpenAI-Organization": "openai_organization_id"},
    }
    ours = {"openai": {**openai, "credential_order": ["profile", "operator"]}}
    gateway = await start({"OPENAI_API_KEY": CREDENTIAL}, **ours)
    people = [
        front_end.add_profile(openai_api_key=HERS, openai_organization_id="org-hers"),
        front_end.add_profile(openai_api_key=HIS),
        front_end.add_profile(openai_organization_id="org-of-nobodys-key"),
    ]

    for user in people:
        assert (await Person.with_session(gateway, user).chat("openai"))[0] == 200

    assert shown(simulator) == bearers([HERS, HIS, CREDENTIAL])
    assert [served.header("openai-organization") for served in simulator.journal] == [
        "org-hers",
        None,
        "org-ours",
    ]
