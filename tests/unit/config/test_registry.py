"""Tests of what a provider's entry means."""

import re

import pytest
from pydantic import SecretStr, ValidationError

from gateway.config import forms
from gateway.config.provider_blocks import Model
from gateway.config.registry import ROUTE_SEGMENTS, Provider, RegistryFile
from gateway.core.cost import FREE

URL = "https://llm.example.org/v1"
CANARY = "sk-canary-77b0"


def test_two_lines_are_a_provider() -> None:
    """The promise of the registry: name and address, and the rest is right."""
    provider = Provider(name="groq", base_url="https://api.groq.com/openai/v1")

    assert provider.label == "Groq"
    assert provider.key == "groq_api_key"
    assert provider.env == "GROQ_API_KEY"
    assert provider.auth.header == "Authorization"
    assert provider.auth.prefix == "Bearer "
    assert provider.auth.required
    assert provider.dialect == "openai"
    assert provider.stream_usage
    assert provider.retries == 2
    assert provider.on_client_gone == "cancel"
    assert provider.on_stream_error == "cut"
    assert provider.incorrect_key == "status"
    assert provider.max_connections == 10_000
    assert not provider.allow_private
    assert provider.max_output is None


def test_a_hyphen_becomes_an_underscore_where_no_hyphen_may_be() -> None:
    """No shell can set a variable with a hyphen in its name."""
    provider = Provider(name="our-llm", base_url=URL)

    assert (provider.key, provider.env) == ("our_llm_api_key", "OUR_LLM_API_KEY")


@pytest.mark.parametrize(
    ("name", "env"),
    [("01ai", "_01AI_API_KEY"), ("4-ever", "_4_EVER_API_KEY"), ("a1", "A1_API_KEY")],
)
def test_a_derived_variable_is_one_that_a_shell_can_set(name: str, env: str) -> None:
    """None begins with a digit (POSIX, 3.230)."""
    provider = Provider(name=name, base_url=URL)

    assert provider.env == env
    assert re.fullmatch(forms.ENV_NAME, env)


def test_a_derived_name_is_of_one_host() -> None:
    """The credential for one would go to the other, and nobody would know."""
    other = "https://other.example.org/v1"
    providers = {
        "a-b": {"name": "a-b", "base_url": URL},
        "a_b": {"name": "a_b", "base_url": other},
    }

    with pytest.raises(ValidationError, match=r"A_B_API_KEY.*a_b_api_key"):
        RegistryFile.model_validate({"providers": providers})


@pytest.mark.parametrize(
    "second",
    [
        {"base_url": URL + "/beta"},  # the same host
        {"base_url": "https://other.example.org/v1", "env": "A_B_API_KEY", "key": "a_b_api_key"},
        {"base_url": "https://other.example.org/v1", "env": "OTHER", "key": "other"},
        {"base_url": "https://other.example.org/v1", "credential": "${OTHER}", "key": "other"},
    ],
)
def test_who_writes_where_a_credential_is_means_it(second: dict[str, str]) -> None:
    """One key for two hosts may be what an operator has."""
    first = {"name": "a-b", "base_url": URL}

    RegistryFile.model_validate({"providers": {"a-b": first, "a_b": {"name": "a_b", **second}}})


def test_derived_names_can_be_overridden() -> None:
    """chatbot-ui calls Google's field google_gemini_api_key."""
    provider = Provider(name="google", base_url=URL, key="g_key", env="G_KEY", label="Gemini")

    assert (provider.key, provider.env, provider.label) == ("g_key", "G_KEY", "Gemini")


def test_a_slash_at_the_end_of_the_address_is_dropped() -> None:
    """Paths are appended to it; two slashes are another path."""
    assert Provider(name="a", base_url=URL + "//").base_url == URL


@pytest.mark.parametrize("name", sorted(ROUTE_SEGMENTS))
def test_a_provider_cannot_have_the_name_of_a_route(name: str) -> None:
    """`/api/providers` would be ambiguous."""
    with pytest.raises(ValidationError, match="the gateway's own paths"):
        Provider(name=name, base_url=URL)


@pytest.mark.parametrize("name", ["", "A", "-a", "_a", "a.b", "a/b", "a b", "ä", "a" * 64, "a\n"])
def test_a_name_is_safe_in_a_path(name: str) -> None:
    """It is a segment of a URL, the first part of a model's name and a metric's label."""
    with pytest.raises(ValidationError):
        Provider(name=name, base_url=URL)


@pytest.mark.parametrize("name", ["a", "0", "a" * 63, "a-b_c"])
def test_short_and_long_names_are_taken(name: str) -> None:
    """The limits themselves are inside."""
    assert Provider(name=name, base_url=URL).name == name


def test_only_demo_is_simulated() -> None:
    """A provider that seems real and answers made-up text would be found late."""
    assert Provider(name="demo", base_url="simulator:").is_simulated
    assert not Provider(name="demo", base_url="simulator:").needs_credential  # two lines are enough
    assert not Provider(name="demo", base_url=URL).is_simulated

    with pytest.raises(ValidationError, match="`demo` only"):
        Provider(name="groq", base_url="simulator:")


def test_a_private_address_needs_to_be_allowed_by_the_same_entry() -> None:
    """One provider's permission says nothing about another's."""
    local = "http://127.0.0.1:8000/v1"

    assert Provider(name="vllm", base_url=local, allow_private=True).base_url == local
    with pytest.raises(ValidationError, match="allow_private: true"):
        Provider(name="vllm", base_url=local)


def test_a_placeholder_address_is_recognised() -> None:
    """EXAMPLE.openai.azure.com may belong to somebody."""
    azure = Provider(name="azure", base_url="https://EXAMPLE.openai.azure.com/openai/v1")

    assert azure.is_placeholder
    assert not Provider(name="a", base_url="https://example.org/v1").is_placeholder


def test_a_model_is_found_by_id_and_by_alias() -> None:
    """Azure's deployment names and chatbot-ui's model names differ."""
    models = (Model(id="a", alias="first"), Model(id="b"))
    provider = Provider(name="p", base_url=URL, models=models)

    assert provider.find_model("a") is models[0]
    assert provider.find_model("first") is models[0]
    assert provider.find_model("b") is models[1]
    assert provider.find_model("c") is None


def test_a_model_goes_by_all_of_its_names() -> None:
    """A right may be written with any of them."""
    models = (Model(id="a", alias="first"), Model(id="b"))
    provider = Provider(name="p", base_url=URL, models=models)

    assert provider.names_of("a") == provider.names_of("first") == ("a", "first")
    assert provider.names_of("b") == ("b",)
    assert provider.names_of("of-no-entry") == ("of-no-entry",)


@pytest.mark.parametrize("model", [None, Model(id="a"), Model(id="b", price_in_usd_per_mtok=1)])
def test_what_the_simulator_says_is_free(model: Model | None) -> None:
    """A preset is no model of the registry, and no budget has to refuse it."""
    demo = Provider(name="demo", base_url="simulator:")
    other = Provider(name="p", base_url=URL)

    assert (demo.price_of(model), other.price_of(model)) == (FREE, None)


def test_a_price_may_be_tried_with_the_simulator() -> None:
    """To see what a budget does."""
    demo = Provider(name="demo", base_url="simulator:")
    model = Model(id="a", price_in_usd_per_mtok=1, price_out_usd_per_mtok=2)

    assert demo.price_of(model) == model.price != FREE


def test_two_models_cannot_go_by_one_name() -> None:
    """Which one answers would depend on the order of the lines."""
    for models in ([{"id": "a"}, {"id": "a"}], [{"id": "a"}, {"id": "b", "alias": "a"}]):
        with pytest.raises(ValidationError, match="twice"):
            Provider(name="p", base_url=URL, models=models)  # type: ignore[arg-type] # as YAML gives it


def test_the_default_model_has_to_be_there_when_models_are_listed() -> None:
    """A typo in it would be a 404 for every caller that names no model."""
    assert Provider(name="p", base_url=URL, default_model="x").default_model == "x"
    with pytest.raises(ValidationError, match="not among"):
        Provider(name="p", base_url=URL, models=(Model(id="a"),), default_model="x")


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Accept"]
)
def test_the_connections_own_headers_cannot_be_set(name: str) -> None:
    """A second length is how requests are smuggled."""
    with pytest.raises(ValidationError, match="belongs to the connection"):
        Provider(name="p", base_url=URL, headers={name: "x"})


def test_the_credentials_header_cannot_be_set_as_an_ordinary_one() -> None:
    """It would go out twice, once with a key that no log redacts."""
    with pytest.raises(ValidationError, match="is the header of the credential"):
        Provider(name="p", base_url=URL, headers={"authorization": "Bearer x"})


def test_no_form_of_a_provider_shows_a_secret() -> None:
    """Providers are printed in tracebacks and debug logs."""
    provider = Provider(
        name="p", base_url=URL, credential=SecretStr(CANARY), headers={"X-Token": CANARY}
    )

    assert CANARY not in repr(provider)
    assert CANARY not in str(provider)
    assert CANARY not in f"{[provider]}"


def test_no_refusal_of_a_provider_shows_a_secret() -> None:
    """The message of an error is the most printed text there is."""
    with pytest.raises(ValidationError) as caught:
        Provider(name="p", base_url=f"https://u:{CANARY}@llm.example.org", retries=CANARY)  # type: ignore[arg-type] # wrong on purpose

    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)


def test_whose_credential_is_taken_has_an_order() -> None:
    """The operator's first, as a chat front end does it; each at most once, and one at least."""
    assert Provider(name="p", base_url=URL).credential_order == ("operator", "profile", "tenant")
    assert Provider(name="p", base_url=URL, credential_order=("profile",)).credential_order == (
        "profile",
    )
    for order in ((), ("profile", "profile"), ("user",)):
        with pytest.raises(ValidationError):
            Provider(name="p", base_url=URL, credential_order=order)


def test_only_custom_is_at_the_callers_addresses() -> None:
    """And never at one that only the gateway reaches, nor with what is the operator's own."""
    assert Provider(name="custom", base_url="models:").is_custom
    assert not Provider(name="custom", base_url=URL).is_custom
    with pytest.raises(ValidationError, match="`custom` only"):
        Provider(name="groq", base_url="models:")
    with pytest.raises(ValidationError, match="allow_private"):
        Provider(name="custom", base_url="models:", allow_private=True)
    with pytest.raises(ValidationError, match="whatever host a caller chooses"):
        Provider(name="custom", base_url="models:", headers={"X-Ours": "x"})


@pytest.mark.parametrize("path", ["openai/v1", "/openai/v1/", "/a b", "/a?b", "/../x", "//x"])
def test_the_path_of_an_own_endpoint_is_plain(path: str) -> None:
    """It is put after an address that somebody wrote."""
    own = {"field": "endpoint", "models": {"m": "m_id"}}
    entry = {"name": "p", "base_url": URL}
    assert Provider.model_validate({**entry, "own_endpoint": {**own, "path": ""}}).own_endpoint
    with pytest.raises(ValidationError):
        Provider.model_validate({**entry, "own_endpoint": {**own, "path": path}})


@pytest.mark.parametrize("name", ["Host", "authorization", "Content-Length"])
def test_a_profile_sets_no_header_of_the_connections(name: str) -> None:
    """Nor the one with the credential."""
    assert Provider(name="p", base_url=URL, profile_headers={"X-Org": "org_id"}).profile_headers
    with pytest.raises(ValidationError, match="cannot come from a profile"):
        Provider(name="p", base_url=URL, profile_headers={name: "org_id"})
