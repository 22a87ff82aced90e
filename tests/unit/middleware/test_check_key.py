"""A call without a credential ends here, with a sentence for whoever reads it."""

from aiohttp import web

from gateway.config.provider_blocks import AuthSpec
from gateway.config.registry import Provider
from gateway.plugins.keys import CREDENTIAL
from tests.plugins.chain import CREDENTIAL as GROQ_CREDENTIAL
from tests.plugins.chain import Reply, StartChain, make_registry

CHAT = b'{"chatSettings":{"model":"m"},"messages":[{"role":"user","content":"Hi"}]}'
MINE = Provider(name="mine", label="My Host", base_url="https://llm.example.org/v1")
OPEN = Provider(name="open", base_url="https://llm.example.org/v1", auth=AuthSpec(required=False))


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
