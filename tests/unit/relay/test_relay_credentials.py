"""Further attempts with another credential: before the commit point, and without waiting."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.core.credential import Credential
from gateway.core.exchange import Outcome
from gateway.simulator import Simulator

OpenGateway = Callable[..., Awaitable[Any]]
CREDENTIALS = [Credential(f"K{number}", SecretStr(f"sk-{number}")) for number in range(3)]
REFUSED = {"error": {"status": 401}}


def shown(simulator: Simulator) -> list[str]:
    """Which credentials the provider was shown, in order."""
    return [
        (one.header("authorization") or "").removeprefix("Bearer ") for one in simulator.journal
    ]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat/sim"])
async def test_a_refused_credential_is_replaced_within_the_request(
    open_gateway: OpenGateway, simulator: Simulator, path: str
) -> None:
    """As often as `retries` says; the caller never hears of it."""
    gateway = await open_gateway(shown=CREDENTIALS, retries=2)
    for credential in ("sk-0", "sk-1"):
        simulator.answer_credential(credential, REFUSED)

    heard = await gateway.ask("plain", path)
    exchange = await gateway.wait_settled()

    assert (heard.status, heard.is_whole) == (200, True)
    assert shown(simulator) == ["sk-0", "sk-1", "sk-2"]
    assert (exchange.attempts, exchange.credential_id) == (3, "K2")


async def test_another_credential_at_once_is_no_retry_of_the_provider_s(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """It was the credential that failed; the provider is not in trouble."""
    budget = {"share": 0, "spare": 0}
    gateway = await open_gateway(shown=CREDENTIALS, retries=2, retry_budget=budget)
    simulator.answer_credential("sk-0", REFUSED)

    assert (await gateway.ask("plain")).status == 200
    assert shown(simulator) == ["sk-0", "sk-1"]


async def test_each_further_credential_costs_a_retry(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """Ten that are refused are not ten attempts of one request."""
    gateway = await open_gateway(shown=CREDENTIALS, retries=1)
    for credential in ("sk-0", "sk-1"):
        simulator.answer_credential(credential, REFUSED)

    first = await gateway.ask("plain")
    second = await gateway.ask("plain")

    assert (first.status, second.status) == (401, 200)
    assert shown(simulator) == ["sk-0", "sk-1", "sk-2"]


async def test_the_first_one_that_is_free_again_is_waited_for(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """On either loop: timers of one come a little early."""
    gateway = await open_gateway(shown=CREDENTIALS[:2], retries=2)
    for credential, seconds in (("sk-0", "0.1"), ("sk-1", "30")):
        error = {"status": 429, "retry_after": seconds}
        simulator.answer_credential(credential, {"error": error})

    heard = await gateway.ask("plain")

    assert heard.status == 429
    assert shown(simulator) == ["sk-0", "sk-1", "sk-0"]
    assert "retry-after: 1\r\n" in f"{heard.head}\r\n"


async def test_after_the_first_content_no_other_one_is_tried(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """The caller would read the beginning twice (fault G12)."""
    gateway = await open_gateway(shown=CREDENTIALS, retries=2)
    simulator.answer_credential("sk-0", {"preset": "openrouter-error"})

    heard = await gateway.ask("plain")
    exchange = await gateway.wait_settled()

    assert not heard.is_whole
    assert exchange.outcome is Outcome.UPSTREAM_FAILED
    assert shown(simulator) == ["sk-0"]
