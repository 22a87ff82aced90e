"""Asking a provider through the `openai` package, over the gateway's own connections."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr

from gateway.cli.credential_trial import ListMissingError
from gateway.cli.openai_client import Asker
from gateway.config.registry import Provider
from gateway.core.credential import Credential
from gateway.core.upstream_errors import (
    UpstreamAddressError,
    UpstreamBadResponseError,
    UpstreamConnectError,
    UpstreamCredentialError,
    UpstreamFirstContentTimeoutError,
    UpstreamRedirectError,
    UpstreamTlsError,
)
from gateway.simulator import Simulator
from gateway.upstream.resolver import Resolver
from gateway.upstream.upstreams import Upstream, Upstreams

VALUE = "sk-canary-asked-1c93"
KEY = Credential("K", SecretStr(VALUE))
MakeAsker = Callable[..., Asker]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A provider that knows one credential."""
    async with Simulator(credential=VALUE) as started:
        yield started


@pytest.fixture
async def make_asker(simulator: Simulator) -> AsyncIterator[MakeAsker]:
    """Asks the simulator, or whatever else is written."""
    opened: list[Upstreams] = []

    def make(*, timeout_s: float = 10.0, **fields: Any) -> Asker:
        usual = {"name": "sim", "base_url": simulator.base_url, "allow_private": True}
        provider = Provider.model_validate({**usual, **fields})
        opened.append(Upstreams({"sim": provider}, simulator_url=None))
        return Asker(opened[-1]["sim"], timeout_s=timeout_s, secrets=(VALUE,))

    yield make
    for upstreams in opened:
        upstreams.close()


async def test_the_list_of_models_is_read(make_asker: MakeAsker, simulator: Simulator) -> None:
    """With the credential where the registry says, and nothing of the package's own."""
    asker = make_asker(headers={"X-Title": "Ours"})

    models = await asker.fetch_models(KEY)

    served = simulator.journal.last
    assert "demo" in models
    assert (served.method, served.path) == ("GET", "/v1/models")
    assert served.header("authorization") == f"Bearer {VALUE}"
    assert served.header("x-title") == "Ours"
    names = {name.lower() for name, _ in served.headers}
    assert not any(name.startswith("x-stainless") for name in names)


async def test_nothing_of_the_environment_reaches_a_provider(
    make_asker: MakeAsker, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package reads variables for OpenAI, and every provider would be sent them."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/v1")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "x-canary: canary")

    await make_asker().fetch_models(KEY)

    assert "canary: " not in repr(simulator.journal.last.headers)
    assert "openai" not in repr(simulator.journal.last.headers).lower()


async def test_a_model_is_asked_for_one_token(make_asker: MakeAsker, simulator: Simulator) -> None:
    """By the registry's rules, as every request."""
    asker = make_asker(params={"rename": {"max_tokens": "max_completion_tokens"}})

    await asker.ask_model("plain", KEY)

    served = simulator.journal.last
    assert served.path == "/v1/chat/completions"
    assert json.loads(served.body) == {
        "model": "plain",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 1,
    }


async def test_a_refused_credential_is_said_without_it(
    make_asker: MakeAsker, simulator: Simulator
) -> None:
    """Providers echo what they refuse."""
    message = f"Incorrect API key provided: {VALUE}."
    simulator.answer_credential(VALUE, {"error": {"status": 401, "message": message}})

    for ask in (make_asker().fetch_models(KEY), make_asker().ask_model("plain", KEY)):
        with pytest.raises(UpstreamCredentialError) as caught:
            await ask

        assert (caught.value.status, caught.value.fault.code) == (401, "invalid_api_key")
        assert VALUE[3:] not in caught.value.public


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_provider_without_a_list_is_no_failure(
    make_asker: MakeAsker, simulator: Simulator, status: int
) -> None:
    """Perplexity has none."""
    simulator.answer_credential(VALUE, {"error": {"status": status}})

    with pytest.raises(ListMissingError):
        await make_asker().fetch_models(KEY)


@pytest.mark.parametrize("body", ['["a"]', '[{"id": "a"}, 5]', '{"data": [{"id": "a"}]}'])
async def test_lists_come_in_several_shapes(
    make_asker: MakeAsker, simulator: Simulator, body: str
) -> None:
    """Together's is a bare one."""
    simulator.answer_credential(VALUE, {"body": body, "answer": "json"})

    assert len(await make_asker().fetch_models(KEY)) == ("{" in body)


@pytest.mark.parametrize("body", ["<html>Sign in</html>", '{"models": 1}', "", "5"])
async def test_what_is_no_list_is_a_failure(
    make_asker: MakeAsker, simulator: Simulator, body: str
) -> None:
    """A page with 200 is what a wrong `base_url` gives."""
    simulator.answer_credential(VALUE, {"body": body, "answer": "json"})

    with pytest.raises(UpstreamBadResponseError, match="Sim answered"):
        await make_asker().fetch_models(KEY)


async def test_a_redirect_is_not_followed(make_asker: MakeAsker, simulator: Simulator) -> None:
    """It would hand the credential to another host."""
    simulator.answer_credential(VALUE, {"redirect_to": f"{simulator.base_url}/elsewhere"})

    with pytest.raises(UpstreamRedirectError):
        await make_asker().fetch_models(KEY)

    assert simulator.journal.count == 1


async def test_a_provider_that_does_not_answer_is_given_up(
    make_asker: MakeAsker, simulator: Simulator
) -> None:
    """And let go of."""
    simulator.answer_credential(VALUE, {"stall": {"at": "before_head"}})

    with pytest.raises(UpstreamFirstContentTimeoutError, match=r"within 0\.1 s"):
        await make_asker(timeout_s=0.1).fetch_models(KEY)

    async with asyncio.timeout(10):
        await simulator.journal.last.peer_left.wait()


async def test_a_provider_that_is_not_there_is_said_to_be(make_asker: MakeAsker) -> None:
    """In the gateway's own words."""
    with pytest.raises(UpstreamConnectError, match="Sim cannot be reached"):
        await make_asker(base_url="http://127.0.0.1:1/v1").fetch_models(KEY)


async def test_an_address_that_is_not_allowed_is_not_called(simulator: Simulator) -> None:
    """H03: a name that is public today leads inside tomorrow; it is checked for each connection."""
    url = f"http://rebound.example:{simulator.port}/v1"
    provider = Provider(name="sim", base_url=url)
    loopback = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", simulator.port))
    resolver = Resolver(lambda _host, _port: [loopback])
    asker = Asker(Upstream(provider, url, resolver), timeout_s=10.0, secrets=())

    with pytest.raises(UpstreamAddressError):
        await asker.fetch_models(KEY)

    resolver.close()
    assert simulator.journal.count == 0


async def test_tls_is_the_registrys(make_asker: MakeAsker, tmp_path: Path) -> None:
    """An authority of one's own counts here too, and nobody else's."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with Simulator(credential=VALUE, ssl_context=context) as secure:
        known = make_asker(base_url=secure.base_url, tls={"ca_file": ca_file})
        unknown = make_asker(base_url=secure.base_url)

        assert "demo" in await known.fetch_models(KEY)
        with pytest.raises(UpstreamTlsError):
            await unknown.fetch_models(KEY)
