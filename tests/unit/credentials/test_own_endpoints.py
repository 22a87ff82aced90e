"""An address that a caller wrote down is anything but trusted."""

import pytest
from pydantic import SecretStr

from gateway.config.provider_blocks import Model
from gateway.core.errors import CredentialUnusableError
from gateway.credentials import own_endpoints as module
from gateway.credentials.own_endpoints import OwnEndpoints, check_model_name
from tests.unit.credentials.conftest import provider_of

OURS = provider_of(
    "azure",
    allow_private=True,
    headers={"X-Ours": "canary"},
    tls={"server_name": "ours.example.org"},
    models=[{"id": "m"}],
    default_model="m",
    auth={"header": "api-key"},
)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://",
        "ftp://example.org/v1",
        "file:///etc/passwd",
        "unix:///run/x.sock",
        "http://127.0.0.1:6379",
        "http://localhost/v1",
        "http://169.254.169.254/latest",
        "http://[::1]/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "http://0x7f000001/v1",
        "http://2130706433/v1",
        "http://10.0.0.1/v1",
        "http://metadata.google.internal/v1",
        "https://user:canary@example.org/v1",
        "https://example.org/v1#x",
        "https://example.org/v1?x=1",
        "https://example.org/../v1",
        "https://example.org/v1\r\nX-Evil: 1",
        "https://example.org:0/v1",
        "models:",
        "simulator:",
    ],
)
def test_an_address_passes_the_rules_of_the_registry(address: str) -> None:
    """And is never private, whatever the entry allows (H02)."""
    with pytest.raises(CredentialUnusableError, match="fix it in your profile") as refused:
        OwnEndpoints().provider_at(OURS, address)

    assert "allow_private" not in refused.value.public
    assert "canary" not in refused.value.public


def test_nothing_of_the_operators_goes_there() -> None:
    """Headers may hold secrets, and a certificate's name is that of another host."""
    there = OwnEndpoints().provider_at(OURS, "https://mine.example.org/v1/", (Model(id="x"),))

    assert there.base_url == "https://mine.example.org/v1"
    assert (there.name, there.auth.header) == ("azure", "api-key")
    assert (there.headers, there.tls.server_name, there.allow_private) == ({}, None, False)
    assert [model.id for model in there.models] == ["x"]
    assert there.default_model is None


def test_an_endpoint_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a bounded number is kept."""
    monkeypatch.setattr(module, "ENDPOINTS_MAX", 2)
    endpoints = OwnEndpoints()
    urls = [f"https://{name}.example.org/v1" for name in "abc"]
    first = endpoints.provider_at(OURS, urls[0])

    assert endpoints.provider_at(OURS, urls[0]) is first
    for url in urls[1:]:
        endpoints.provider_at(OURS, url)
    assert endpoints.provider_at(OURS, urls[0]) is not first


def test_an_endpoint_is_made_anew_for_other_models_and_another_provider() -> None:
    """Somebody who adds a model to their profile is not told that it is not there."""
    endpoints, url = OwnEndpoints(), "https://mine.example.org/v1"
    groq = provider_of("groq")
    wanted = ((), (Model(id="x"),), (Model(id="x", context=9),), (Model(id="x"), Model(id="y")))

    for models in wanted:
        assert endpoints.provider_at(OURS, url, models).models == models
        assert endpoints.provider_at(groq, url, models).name == "groq", models


@pytest.mark.parametrize("name", ["", "a\nb", "a" * 257, "\x7f"])
def test_the_name_of_a_model_is_short_and_printable(name: str) -> None:
    """It is logged and sent."""
    with pytest.raises(CredentialUnusableError):
        check_model_name(name, "Custom")
    assert check_model_name("my/model", "Custom") == "my/model"


ORG = provider_of(
    "openai",
    headers={"X-Title": "Ours", "openai-organization": "org-ours"},
    profile_headers={"OpenAI-Organization": "org_id", "X-Team": "team"},
    tls={"server_name": "ours.example.org"},
)


def test_a_users_organisation_goes_with_their_key_and_never_ours() -> None:
    """Else the provider says that the key is not of that organisation."""
    endpoints = OwnEndpoints()
    theirs = endpoints.provider_with(ORG, {"org_id": SecretStr("org-theirs"), "x": SecretStr("y")})
    none = endpoints.provider_with(ORG, {})

    assert theirs.headers == {"X-Title": "Ours", "OpenAI-Organization": "org-theirs"}
    assert none.headers == {"X-Title": "Ours"}
    assert (theirs.base_url, theirs.tls) == (ORG.base_url, ORG.tls)
    assert endpoints.provider_with(ORG, {}) is none
    assert endpoints.provider_with(OURS, {"org_id": SecretStr("o")}) is OURS


def test_a_header_from_a_profile_is_one_line() -> None:
    """Whatever stands in the table."""
    with pytest.raises(CredentialUnusableError) as refused:
        OwnEndpoints().provider_with(ORG, {"team": SecretStr("canary\r\nX-Evil: 1")})

    assert "canary" not in f"{refused.value.public}{refused.value.detail}"


def test_who_writes_down_the_address_of_the_entry_changes_nothing_for_others() -> None:
    """Whoever came first, what is the operator's stays with the entry, and only there."""
    entry = ORG.model_copy(update={"models": (Model(id="m"),), "default_model": "m"})
    for order in ("at", "with"), ("with", "at"):
        endpoints = OwnEndpoints()
        made = {
            way: endpoints.provider_at(entry, entry.base_url)
            if way == "at"
            else endpoints.provider_with(entry, {})
            for way in order
        }

        assert (made["at"].headers, made["at"].models) == ({}, ()), order
        assert made["with"].headers == {"X-Title": "Ours"}, order
        assert (made["with"].models, made["with"].default_model) == (entry.models, "m"), order
