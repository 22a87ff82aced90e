"""Group H of the faults: where the gateway connects to when callers write the addresses.

The rule here: the addresses are public ones, in a network namespace that knows no others; so
nothing is made easier for the test.
"""

import json
from pathlib import Path

from gateway.simulator import Simulator
from tests.plugins.front_end_tables import FrontEndTables
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.issuer import SECRET
from tests.plugins.namespaces import Cable, Namespace
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import raw_request
from tests.plugins.signed_in import COOKIE_AUTH, cookie_of

PUBLIC = "1.2.3.4"
KEY = "sk-canary-of-a-custom-model-5f"
AZURE_KEY = "canary-of-a-resource-of-azure-6e"
AZURE = {
    "base_url": "https://EXAMPLE.openai.azure.com/openai/v1",
    "headers": {"X-Ours": "canary-of-the-operator"},
    "auth": {"header": "api-key"},
    "key": "azure_openai_api_key",
    "own_endpoint": {
        "field": "azure_openai_endpoint",
        "path": "/v1",
        "models": {"gpt-4-turbo-preview": "azure_openai_45_turbo_id"},
    },
}


async def chat(
    gateway: GatewayProcess, place: Namespace, user: str, provider: str, custom: str = ""
) -> Heard:
    """A user's question, asked from beside the gateway."""
    body = json.dumps(
        {
            "chatSettings": {"model": "gpt-4-turbo-preview", "temperature": 0.5},
            "messages": [{"role": "user", "content": "Hi"}],
            "customModelId": custom,
        }
    ).encode()
    headers = (f"Cookie: {cookie_of(user)}", "Sec-Fetch-Site: same-origin", "Connection: close")
    with place.entered():
        caller = Caller(gateway.port)
    async with caller:
        await caller.send(
            raw_request(
                f"POST /api/chat/{provider} HTTP/1.1",
                f"Content-Length: {len(body)}",
                *headers,
                body=body,
            )
        )
        return await caller.read_to_end()


async def test_a_users_own_address_is_called_with_their_key_alone(
    cable: Cable, front_end: FrontEndTables, tmp_path: Path
) -> None:
    """A row of `models`, and a resource of Azure's in a profile (H01, H02, I5)."""
    place = cable.near
    place.run("ip", "address", "add", f"{PUBLIC}/32", "dev", "lo")
    (tmp_path / "secret").write_text(SECRET)
    simulator = Simulator()
    with place.entered():  # an address needs no look-up, and so no other thread
        await simulator.start(PUBLIC)
    for _ in range(2):
        simulator.script("plain")  # to a model it does not know it would talk for three seconds
    user = front_end.add_profile(
        azure_openai_api_key=AZURE_KEY,
        azure_openai_endpoint=f"{simulator.base_url.removesuffix('/v1')}/",
        azure_openai_45_turbo_id="my-deployment",
    )
    row = front_end.add_model(user, simulator.base_url, "my/model", KEY)
    settings = {
        "auth": [{**COOKIE_AUTH, "secret": f"file:{tmp_path / 'secret'}"}],
        "profiles": {"source": "postgres", "database": front_end.address},
    }
    entries = {"custom": {"base_url": "models:", "auth": {"required": False}}, "azure": AZURE}

    async with gateway_process(tmp_path, entries, settings, command=place.command) as gateway:
        custom = await chat(gateway, place, user, "custom", row)
        azure = await chat(gateway, place, user, "azure")
        lines = await gateway.wait_for_settled(2)
    await simulator.stop()

    assert (custom.status, azure.status) == (200, 200)
    first, second = simulator.journal
    assert first.header("authorization") == f"Bearer {KEY}"
    assert json.loads(first.body)["model"] == "my/model"
    assert json.loads(first.body)["temperature"] == 0.5
    assert "max_tokens" not in json.loads(first.body)
    assert second.header("api-key") == AZURE_KEY
    assert json.loads(second.body)["model"] == "my-deployment"
    assert (second.path, second.header("x-ours")) == ("/v1/chat/completions", None)
    assert [(line["provider"], line["model"], line["credential_id"]) for line in lines] == [
        ("custom", "my/model", f"models:{row}"),
        ("azure", "my-deployment", f"profile:{user}/azure_openai_api_key"),
    ]
    output = "\n".join(gateway.output)
    assert KEY not in output
    assert AZURE_KEY not in output
