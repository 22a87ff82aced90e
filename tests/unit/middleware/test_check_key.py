"""A call without a credential ends here, with a sentence for whoever reads it."""

import pytest
from aiohttp import web
from pydantic import SecretStr

from gateway.config.provider_blocks import AuthSpec
from gateway.config.registry import Provider
from gateway.core.cost import FREE
from gateway.core.credential import Credential
from gateway.core.errors import CredentialUnavailableError
from gateway.core.identity import Principal
from gateway.credentials.finder import CredentialFinder
from gateway.credentials.pools import Pools
from gateway.credentials.source import Found
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, CREDENTIAL, Call
from tests.plugins.chain import CREDENTIAL as GROQ_CREDENTIAL
from tests.plugins.chain import Reply, StartChain, make_registry

CHAT = b'{"chatSettings":{"model":"m"},"messages":[{"role":"user","content":"Hi"}]}'
MINE = Provider(name="mine", label="My Host", base_url="https://llm.example.org/v1")
OPEN = Provider(name="open", base_url="https://llm.example.org/v1", auth=AuthSpec(required=False))
PRICED = {"models": [{"id": "m", "price_in_usd_per_mtok": "1", "price_out_usd_per_mtok": "2"}]}


async def show_credential(request: web.Request) -> web.StreamResponse:
    """Whether there is one, and whether it is wrapped."""
    credential = request[CREDENTIAL]
    return web.json_response({"is": repr(credential), "none": credential is None})


async def ask(start_chain: StartChain, provider: str, *, openai: bool = False) -> Reply:
    """The answer to one call."""
    chain = await start_chain(show_credential, registry=make_registry(mine=MINE, open=OPEN))
    if openai:
        body = b'{"model":"%s/m","messages":[{"role":"user"}]}' % provider.encode()
        return await chain.ask("POST", "/v1/chat/completions", body=body)
    return await chain.ask("POST", f"/api/chat/{provider}", body=CHAT)


async def test_the_front_end_gets_its_sentence(start_chain: StartChain) -> None:
    """Its users are told where to put a key."""
    reply = await ask(start_chain, "mine")

    assert (reply.status, reply.json()["error"]["code"]) == (500, "credential_not_found")
    assert reply.json()["message"] == (
        "My Host API Key not found. Please set it in your profile settings."
    )


async def test_an_openai_client_is_told_the_variable(start_chain: StartChain) -> None:
    """There is no profile there; whoever runs the gateway has to act."""
    reply = await ask(start_chain, "mine", openai=True)

    assert reply.status == 500
    assert "MINE_API_KEY" in reply.json()["error"]["message"]


async def test_nobody_is_told_a_path_on_the_gateway_s_machine(start_chain: StartChain) -> None:
    """It is in the log, for whoever can do something about it."""
    empty = MINE.model_copy(update={"credential": SecretStr("file:/run/secrets/empty")})
    chain = await start_chain(show_credential, registry=make_registry(mine=empty))

    reply = await chain.ask(
        "POST", "/v1/chat/completions", body=b'{"model":"mine/m","messages":[{"role":"user"}]}'
    )

    assert reply.json()["error"]["code"] == "credential_not_found"
    assert b"/run/secrets" not in reply.raw


async def test_a_host_that_wants_none_is_called_without(start_chain: StartChain) -> None:
    """A server in the same room, for one."""
    reply = await ask(start_chain, "open")

    assert (reply.status, reply.json()["none"]) == (200, True)


async def test_a_credential_stays_wrapped(start_chain: StartChain) -> None:
    """Whatever prints the request prints stars."""
    reply = await ask(start_chain, "groq")

    assert reply.json() == {
        "is": "Credential(id='GROQ_API_KEY', secret=SecretStr('**********'))",
        "none": False,
    }
    assert GROQ_CREDENTIAL.encode() not in reply.raw


class Profile:
    """A source that has one credential, for one provider, at an address of its own."""

    def __init__(
        self, provider: Provider, model: str = "deployed", *, is_down: bool = False
    ) -> None:
        self._provider = provider
        self._model = model
        self._is_down = is_down

    async def find(self, call: Call, principal: Principal) -> Found | None:  # noqa: ARG002 - it is anybody's
        """What it has."""
        if self._is_down:
            raise CredentialUnavailableError("Not now.", detail="the table does not answer")
        if call.provider.name != self._provider.name:
            return None
        moved = Call(call.dialect, self._provider, self._model, call.stream, call.wants_usage)
        return Found(Credential("profile:a/mine_api_key", SecretStr("canary-0001"), 7), moved)

    async def fields_of(self, principal: Principal) -> frozenset[str]:  # noqa: ARG002 - it is anybody's
        """Nothing that a list would show."""
        return frozenset()


AZURE = Provider.model_validate(
    {
        "name": "azure",
        "base_url": "https://EXAMPLE.openai.azure.com/openai/v1",
        "own_endpoint": {"field": "endpoint", "models": {"m": "m_id"}},
    }
)


async def ask_with_profiles(
    start_chain: StartChain, source: Profile, provider: str = "azure", *, openai: bool = False
) -> tuple[Reply, list[object]]:
    """The answer to one call where callers have profiles, and what the call became."""
    seen: list[object] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.extend([request[CALL], request[CREDENTIAL]])
        return web.json_response({})

    chain = await start_chain(
        note,
        registry=make_registry(mine=MINE, azure=AZURE),
        credentials=CredentialFinder({"profile": source}, Pools({})),
    )
    if openai:
        model = provider if "/" in provider else f"{provider}/m"
        body = b'{"model":"%s","messages":[{"role":"user"}]}' % model.encode()
        reply = await chain.ask("POST", "/v1/chat/completions", body=body)
    else:
        reply = await chain.ask("POST", f"/api/chat/{provider}", body=CHAT)
    exchange = await chain.wait_settled()
    seen.append((exchange.credential_id, exchange.credential_version, exchange.model))
    seen.append(exchange.price)
    return reply, seen


async def test_a_call_goes_where_its_credential_is_for(start_chain: StartChain) -> None:
    """Address and model are the profile's; the log says which credential it was."""
    there = AZURE.model_copy(update={"base_url": "https://mine.openai.azure.com/openai/v1"})

    reply, (call, credential, noted, price) = await ask_with_profiles(start_chain, Profile(there))

    assert reply.status == 200
    assert isinstance(call, Call)
    assert (call.provider, call.model) == (there, "deployed")
    assert isinstance(credential, Credential)
    assert noted == ("profile:a/mine_api_key", 7, "deployed")
    assert price == FREE  # the caller pays


@pytest.mark.parametrize(("provider", "is_free"), [("mine", True), ("open", False)])
async def test_a_host_that_needs_no_credential_is_not_paid_with_one(
    start_chain: StartChain, provider: str, *, is_free: bool
) -> None:
    """Any word that a caller sets would take what it answers out of their budget."""
    hosts = {
        "mine": Provider.model_validate({**MINE.model_dump(exclude_unset=True), **PRICED}),
        "open": Provider.model_validate({**OPEN.model_dump(exclude_unset=True), **PRICED}),
    }

    async def show(request: web.Request) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        return web.json_response([exchange.credential_id, exchange.price == FREE])

    chain = await start_chain(
        show,
        registry=make_registry(**hosts),
        credentials=CredentialFinder({"profile": Profile(hosts[provider], "m")}, Pools({})),
    )

    reply = await chain.ask("POST", f"/api/chat/{provider}", body=CHAT)

    assert reply.json() == ["profile:a/mine_api_key", is_free]


@pytest.mark.parametrize(
    ("changed", "is_elsewhere"),
    [
        ({"base_url": "https://mine.openai.azure.com/openai/v1"}, True),
        ({"headers": {"OpenAI-Organization": "theirs"}}, False),
    ],
)
async def test_whose_address_it_is_is_noted(
    start_chain: StartChain, changed: dict[str, object], *, is_elsewhere: bool
) -> None:
    """What a caller's own host says of usage is not what the registry's says."""

    async def show(request: web.Request) -> web.StreamResponse:
        return web.json_response(request[EXCHANGE].is_at_callers_address)

    there = AZURE.model_copy(update=changed)
    chain = await start_chain(
        show,
        registry=make_registry(azure=AZURE),
        credentials=CredentialFinder({"profile": Profile(there)}, Pools({})),
    )

    assert (await chain.ask("POST", "/api/chat/azure", body=CHAT)).json() is is_elsewhere


@pytest.mark.parametrize(
    ("model", "noted"), [("canary-0001", "…0001"), ("gsk_canaryCanary0123", "gsk_…0123")]
)
async def test_a_key_in_the_place_of_the_model_is_not_written_down(
    start_chain: StartChain, model: str, noted: str
) -> None:
    """The books have the name of the model as it is noted; the provider is sent what was set."""
    there = AZURE.model_copy(update={"base_url": "https://mine.openai.azure.com/openai/v1"})

    _, (call, _, of_exchange, _) = await ask_with_profiles(start_chain, Profile(there, model))

    assert isinstance(call, Call)
    assert call.model == model
    assert of_exchange == ("profile:a/mine_api_key", 7, noted)


async def test_a_model_keeps_its_name_whatever_somebody_sets_as_their_key(
    start_chain: StartChain,
) -> None:
    """By the name of a model as their credential, callers could take it out of the books."""
    seen = await ask_with_profiles(
        start_chain, Profile(MINE, "canary-0001"), "mine/canary-0001", openai=True
    )

    assert seen[1][2] == ("profile:a/mine_api_key", 7, "canary-0001")


async def test_nothing_is_sent_to_an_address_that_is_not_filled_in(
    start_chain: StartChain,
) -> None:
    """Whoever has a profile is told to set a key; without profiles it is the operator's turn."""
    with_profiles, seen = await ask_with_profiles(start_chain, Profile(MINE))
    chain = await start_chain(show_credential, registry=make_registry(azure=AZURE))
    without = await chain.ask("POST", "/api/chat/azure", body=CHAT)

    assert (with_profiles.status, with_profiles.json()["message"]) == (
        500,
        "Azure API Key not found. Please set it in your profile settings.",
    )
    assert len(seen) == 2
    assert (without.status, without.json()["error"]["code"]) == (404, "provider_not_found")


async def test_an_openai_client_is_told_of_the_profile(start_chain: StartChain) -> None:
    """Where there are any."""
    reply, _ = await ask_with_profiles(start_chain, Profile(AZURE), "mine", openai=True)

    assert "or you can set one in your profile" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("order", "remedy"),
    [
        (("operator",), "; its operator can set the environment variable MINE_API_KEY."),
        (("profile",), "; you can set one in your profile."),
        (("tenant",), "; its operator can set one for your tenant."),
    ],
)
async def test_nobody_is_sent_where_no_credential_is_looked_for(
    start_chain: StartChain, order: tuple[str, ...], remedy: str
) -> None:
    """They set one there, and nothing changed."""
    mine = MINE.model_copy(update={"credential_order": order})
    chain = await start_chain(
        show_credential,
        registry=make_registry(mine=mine),
        credentials=CredentialFinder({"profile": Profile(AZURE)}, Pools({})),
    )

    body = b'{"model":"mine/m","messages":[{"role":"user"}]}'
    reply = await chain.ask("POST", "/v1/chat/completions", body=body)

    assert reply.json()["error"]["message"].endswith(remedy)


async def test_nobody_is_sent_to_profiles_that_there_are_none_of(start_chain: StartChain) -> None:
    """Nor to a variable that nobody reads."""
    mine = MINE.model_copy(update={"credential_order": ("profile",)})
    chain = await start_chain(show_credential, registry=make_registry(mine=mine))

    body = b'{"model":"mine/m","messages":[{"role":"user"}]}'
    reply = await chain.ask("POST", "/v1/chat/completions", body=body)

    said = reply.json()["error"]["message"]
    assert said.endswith("can configure `profiles` in gateway.yaml, where it is looked for.")


async def test_a_store_that_does_not_answer_is_no_missing_key(start_chain: StartChain) -> None:
    """503 with a code of its own, and nobody goes looking for a key (E13)."""
    reply, _ = await ask_with_profiles(start_chain, Profile(MINE, is_down=True), "mine")

    assert (reply.status, reply.json()["error"]["code"]) == (503, "credential_unavailable")
    assert "not found" not in reply.json()["message"]


@pytest.mark.parametrize(("provider", "secret"), [("groq", None), ("azure", "canary-0001")])
async def test_a_callers_own_credential_is_noted_for_its_line(
    start_chain: StartChain, provider: str, secret: str | None
) -> None:
    """The log knows the operator's from the start, and looks for them in any case."""

    async def show(request: web.Request) -> web.StreamResponse:
        noted = request[EXCHANGE].credential_secret
        return web.json_response(None if noted is None else noted.get_secret_value())

    there = AZURE.model_copy(update={"base_url": "https://mine.openai.azure.com/openai/v1"})
    chain = await start_chain(
        show,
        registry=make_registry(azure=AZURE),
        credentials=CredentialFinder(
            {"profile": Profile(there)}, Pools(make_registry().credentials)
        ),
    )

    reply = await chain.ask("POST", f"/api/chat/{provider}", body=CHAT)

    assert reply.json() == secret
