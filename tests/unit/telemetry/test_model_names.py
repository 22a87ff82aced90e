"""Models as labels: those that are known, and no flood of others."""

import pytest

from gateway.config.registry import Model, Provider
from gateway.core.exchange import Exchange
from gateway.telemetry.model_names import FREE_MOST, FREE_PER_PROVIDER, ModelNames


def exchange(provider: str, model: str, **fields: object) -> Exchange:
    """One that was answered."""
    made = Exchange("r1", 100.0, "POST", "/", "unix", (), provider=provider, model=model)
    made.status, made.first_content_at = 200, 101.0
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def provider(name: str, **fields: object) -> Provider:
    """An entry of the registry."""
    fields.setdefault("base_url", "https://api.example.org/v1")
    return Provider(name=name, **fields)


@pytest.fixture
def names() -> ModelNames:
    """Of a provider with two models, one that lists none, and callers' own."""
    models = (Model(id="large-2", alias="large"), Model(id="small"))
    return ModelNames(
        {
            "listed": provider("listed", models=models),
            "free": provider("free"),
            "custom": provider("custom", base_url="models:", allow_private=False),
        }
    )


def test_a_model_of_the_registry_has_its_name_however_it_is_called(names: ModelNames) -> None:
    """Also when it fails: that is what is looked for."""
    assert names.find(exchange("listed", "large-2")) == ("listed", "large-2")
    assert names.find(exchange("listed", "large")) == ("listed", "large-2")
    assert names.find(exchange("listed", "small", status=500)) == ("listed", "small")
    assert names.find(exchange("listed", "unlisted")) == ("listed", "other")


def test_a_free_model_has_a_name_once_it_was_answered_for(names: ModelNames) -> None:
    """Whoever invents names gets a 404 from the provider, and no series."""
    assert names.find(exchange("free", "m", status=404)) == ("free", "other")
    assert names.find(exchange("free", "m", first_content_at=0.0)) == ("free", "other")
    assert names.find(exchange("free", "m")) == ("free", "m")
    assert names.find(exchange("free", "m", status=404)) == ("free", "m")


@pytest.mark.parametrize("name", ["a b", 'a"b', "a\nb", "x" * 101, "", "-a", "модель"])
def test_a_free_model_is_plain_text(names: ModelNames, name: str) -> None:
    """What it is called is written by a caller."""
    assert names.find(exchange("free", name)) == ("free", "none" if not name else "other")


def test_models_of_callers_own_have_no_names(names: ModelNames) -> None:
    """They call them what they like, at addresses of theirs."""
    assert names.find(exchange("custom", "mine")) == ("custom", "other")


def test_whoever_brings_their_own_credential_names_nothing(names: ModelNames) -> None:
    """It may lead to an address of theirs, where every name is answered."""
    own = exchange("free", "mine", credential_id="profile:azure_openai_api_key")

    assert names.find(own) == ("free", "other")


def test_free_names_end_at_a_bound() -> None:
    """L03: for one provider, and for all together."""
    many = [f"p{number}" for number in range(2 * FREE_MOST // FREE_PER_PROVIDER)]
    names = ModelNames({name: provider(name) for name in many})

    found = {
        names.find(exchange(name, f"m{number}"))
        for name in many
        for number in range(2 * FREE_PER_PROVIDER)
    }

    assert len(found) == FREE_MOST + len(many)
    assert len({pair for pair in found if pair[0] == "p0"}) == FREE_PER_PROVIDER + 1


def test_a_request_without_a_provider_is_told_from_one_that_is_unknown(names: ModelNames) -> None:
    """Somebody asks for a provider that was taken out of the registry: that is worth a look."""
    unknown = exchange("", "", error_code="provider_not_found")

    assert names.find(exchange("", "")) == ("none", "none")
    assert names.find(unknown) == ("other", "none")
    assert names.find(exchange("gone", "m")) == ("other", "other")
