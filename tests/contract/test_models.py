"""`/v1/models` and `/v1/models/{id}`, answered from the registry.

The rule here: the shape is OpenAI's, the ids are `<provider>/<model>`.
"""

import aiohttp
import pytest
from yarl import URL

from gateway.simulator import Simulator
from tests.contract.calls import get
from tests.contract.entries import SHIPPED, shipped_entry
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway


async def test_the_models_are_listed_in_openai_s_shape(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """A picker lists what can be called, and only that."""
    gateway = await start_gateway(
        providers={
            name: shipped_entry(name, simulator.base_url) for name in ("groq", "openai", "demo")
        },
        environ={"GROQ_API_KEY": CREDENTIAL},
    )

    heard = await get(gateway, "/v1/models")

    assert heard.status == 200
    assert heard.json["object"] == "list"
    expected = [f"groq/{model['id']}" for model in SHIPPED["groq"]["models"]]
    assert {model["id"] for model in heard.json["data"]} == {"demo/demo", *expected}
    for model in heard.json["data"]:
        assert model["object"] == "model"
        assert model["owned_by"] == model["id"].partition("/")[0]
        assert isinstance(model["created"], int)


@pytest.mark.parametrize(
    ("path", "model_id"),
    [
        ("groq/mixtral-8x7b-32768", "groq/mixtral-8x7b-32768"),
        ("groq%2Fmixtral-8x7b-32768", "groq/mixtral-8x7b-32768"),
        ("groq%2fmixtral-8x7b-32768", "groq/mixtral-8x7b-32768"),
        ("groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("groq%2Fopenai%2Fgpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("fireworks/gpt-oss-120b", "fireworks/accounts/fireworks/models/gpt-oss-120b"),
    ],
)
async def test_one_model_is_found_by_its_id_or_alias(
    shipped: Gateway, path: str, model_id: str
) -> None:
    """Ids hold slashes, which clients write as they are or as %2F."""
    heard = await get(shipped, f"/v1/models/{path}")

    assert heard.status == 200
    assert heard.json["id"] == model_id


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/groq%2Fmixtral-8x7b-32768"])
async def test_head_says_what_get_would(shipped: Gateway, path: str) -> None:
    """The same status and headers, its length among them, and nothing behind them."""
    whole = await get(shipped, path)

    async with aiohttp.ClientSession() as session:
        url = URL(f"{shipped.url}{path}", encoded=True)
        async with session.head(url) as head:
            body = await head.read()

    assert (head.status, body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.body))
    assert head.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("path", ["groq/none", "none/none", "groq", "groq%2Fnone"])
async def test_a_model_that_is_not_there_is_404(shipped: Gateway, path: str) -> None:
    """As OpenAI has it, so that an SDK raises what its users catch."""
    heard = await get(shipped, f"/v1/models/{path}")

    assert heard.status == 404
    assert heard.json["error"] == {
        "message": "There is no such model; GET /v1/models lists them.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }
