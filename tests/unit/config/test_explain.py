"""Tests of the words for what the models refuse. The messages themselves are golden files."""

from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.document import parse_document
from gateway.config.explain import HINTS, explain_errors
from gateway.config.registry import Provider, RegistryFile
from gateway.config.settings import Settings


def errors_of(value: object) -> list[ErrorDetails]:
    """Return what the models say about a value."""
    with pytest.raises(ValidationError) as caught:
        RegistryFile.model_validate(value)
    return caught.value.errors(include_url=False)


def test_what_only_follows_from_a_mistake_is_not_reported() -> None:
    """A wrong name spoils three derived defaults; it is one mistake."""
    document = parse_document(b"providers:\n  A: {base_url: https://a.example}\n", "a.yaml")
    errors = errors_of({"providers": {"A": {"name": "A", "base_url": "https://a.example"}}})

    problems = explain_errors(document, RegistryFile, errors)

    assert len(errors) > 1
    assert [problem.path for problem in problems] == ["providers.A"]


def test_a_value_that_no_member_of_a_union_takes_is_one_mistake() -> None:
    """Pydantic says it once for each member."""
    text = b"providers:\n  a: {base_url: https://a.example, params: {cap: {n: x}}}\n"
    entry = {"name": "a", "base_url": "https://a.example", "params": {"cap": {"n": []}}}

    problems = explain_errors(
        parse_document(text, "a.yaml"), RegistryFile, errors_of({"providers": {"a": entry}})
    )

    assert [problem.message for problem in problems] == ["needs a number, not a list"]


def test_a_hint_never_hides_a_field() -> None:
    """A field that is added later must be found under its own name."""
    assert set(HINTS) & set(Provider.model_fields) == {"name"}


def test_a_key_of_the_other_file_is_said_to_be_one() -> None:
    """Two files are one more than most programs have."""
    document = parse_document(b"providers: {}\nserver: {}\n", "a.yaml")
    stray = [
        {"type": "extra_forbidden", "loc": (key,), "msg": "", "input": {}}
        for key in ("server", "providers")
    ]

    of_registry = explain_errors(document, RegistryFile, stray[:1])  # type: ignore[arg-type] # dicts
    of_settings = explain_errors(document, Settings, stray[1:])  # type: ignore[arg-type] # dicts

    assert [problem.message for problem in of_registry + of_settings] == [
        "unknown key; it belongs in gateway.yaml",
        "unknown key; it belongs in providers.yaml",
    ]


def test_an_unforeseen_refusal_still_has_words() -> None:
    """Pydantic has a hundred error types and gains more."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(complex).validate_python("x")
    errors = [{**error, "loc": ("providers",)} for error in caught.value.errors()]

    problems = explain_errors(
        parse_document(b"providers: x\n", "a.yaml"),
        RegistryFile,
        errors,  # type: ignore[arg-type] # a dict is what it is
    )

    assert len(problems) == 1
    assert problems[0].message


def test_every_choice_of_a_provider_can_be_shown() -> None:
    """A choice with `or` or a quote in it would be split in the message."""
    for field in Provider.model_fields.values():
        for choice in get_args(field.annotation):
            assert not isinstance(choice, str) or choice.isidentifier()
