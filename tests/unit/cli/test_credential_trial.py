"""Whether a provider accepts a credential, and what proves it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.cli.credential_trial import Trial, choose_providers, try_provider
from gateway.cli.openai_client import Asker
from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.core.credential import Credential
from gateway.simulator import Simulator
from gateway.upstream.upstreams import Upstreams

GOOD = Credential("GOOD", SecretStr("sk-canary-good-77ab"))
BAD = Credential("BAD", SecretStr("sk-canary-bad-15dd"))
ANSWERS: dict[str, Any] = {
    "refused": {"error": {"status": 401}},
    "limited": {"error": {"status": 429, "retry_after": "9"}},
    "spent": {"preset": "openai-insufficient-quota"},
    "failed": {"error": {"status": 500}},
    "unreachable": {"cut": {"at": "before_head"}},
}


class Office:
    """A provider, and whoever tries credentials with it."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.opened: list[Upstreams] = []

    async def try_(self, *credentials: Credential, **fields: Any) -> list[Trial]:
        """What comes of these credentials."""
        usual = {"name": "sim", "base_url": self.simulator.base_url, "allow_private": True}
        provider = Provider.model_validate({**usual, **fields})
        self.opened.append(Upstreams({"sim": provider}, simulator_url=None))
        secrets = tuple(one.secret.get_secret_value() for one in credentials)
        asker = Asker(self.opened[-1]["sim"], timeout_s=10.0, secrets=secrets)
        return await try_provider(provider, credentials, asker)

    def paths(self) -> list[str]:
        """What was asked for, with `?` before what was asked for without a credential."""
        return [
            ("" if served.header("authorization") else "?") + served.path.rpartition("/v1/")[2]
            for served in self.simulator.journal
        ]


@pytest.fixture
async def closed_office() -> AsyncIterator[Office]:
    """At a provider whose list is for those it knows."""
    async with Simulator(credential=GOOD.secret.get_secret_value()) as simulator:
        office = Office(simulator)
        yield office
        for upstreams in office.opened:
            upstreams.close()


@pytest.fixture
async def open_office() -> AsyncIterator[Office]:
    """At a provider that shows its list to everybody."""
    async with Simulator() as simulator:
        office = Office(simulator)
        yield office
        for upstreams in office.opened:
            upstreams.close()


async def test_a_list_that_is_not_public_proves_it(closed_office: Office) -> None:
    """For nothing: no model is asked."""
    good, bad = await closed_office.try_(GOOD, BAD)

    assert (good.result, good.credential_id, good.status) == ("works", "GOOD", None)
    assert good.models is not None
    assert good.models > 10
    assert (bad.result, bad.status, bad.code) == ("refused", 401, "invalid_api_key")
    assert closed_office.paths() == ["?models", "models", "models"]


@pytest.mark.parametrize("result", ANSWERS)
async def test_where_the_list_is_public_a_model_is_asked(open_office: Office, result: str) -> None:
    """OpenRouter's is; every credential would work there."""
    open_office.simulator.answer_credential(BAD.secret.get_secret_value(), ANSWERS[result])

    good, bad = await open_office.try_(GOOD, BAD, default_model="plain")

    assert (good.result, bad.result) == ("works", result)
    assert good.models is not None
    assert sorted(open_office.paths()) == ["?models", "chat/completions", "chat/completions"]
    assert "canary" not in repr((good, bad))


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({"default_model": "d", "models": [{"id": "plain", "alias": "d"}]}, "plain"),
        ({"models": [{"id": "first"}, {"id": "second"}]}, "first"),
        ({}, "demo"),
    ],
)
async def test_the_model_that_is_asked_is_the_registrys(
    open_office: Office, fields: dict[str, Any], model: str
) -> None:
    """And the list's where the registry names none."""
    await open_office.try_(GOOD, **fields)

    assert b'"model":"%b"' % model.encode() in open_office.simulator.journal.last.body


async def test_where_there_is_no_list_a_model_is_asked(closed_office: Office) -> None:
    """Perplexity has none; one without a model to ask cannot be tried."""
    closed_office.simulator.script({"path": "/models", "error": {"status": 404}, "times": 9})

    asked = await closed_office.try_(GOOD, models=[{"id": "m"}])
    unknown = await closed_office.try_(GOOD)

    assert [trial.models for trial in (*asked, *unknown)] == [None, None]
    assert [trial.result for trial in (*asked, *unknown)] == ["works", "unknown"]


async def test_a_provider_without_credentials_is_asked_without_where_it_needs_none(
    open_office: Office,
) -> None:
    """A server in the same room, for one."""
    [free] = await open_office.try_(auth={"required": False})
    [lacking] = await open_office.try_()

    assert (free.result, free.credential_id) == ("works", None)
    assert (lacking.result, lacking.message) == ("unknown", "it has no credential")
    assert open_office.paths() == ["?models"]


def test_whoever_names_none_means_all_that_have_a_credential() -> None:
    """Fifteen that nobody uses would hide the two that matter."""
    providers = {
        name: Provider(name=name, base_url="https://llm.example.org/v1") for name in ("a", "b", "c")
    }
    registry = Registry(providers, {"b": (GOOD,)})

    assert [one.name for one in choose_providers(registry, [])] == ["b"]
    assert [one.name for one in choose_providers(registry, ["c", "a", "c"])] == ["c", "a"]
