"""What the words of providers mean."""

import pytest

from gateway.core.upstream_errors import ProviderFault
from gateway.wire.fault_status import (
    STATUS_OF_WORD,
    is_credential_refused,
    is_quota,
    names_credential,
    says_incorrect_key,
)


@pytest.mark.parametrize(
    "word",
    [
        "insufficient_quota",
        "INSUFFICIENT_QUOTA",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "spend_limit_exceeded",
        "payment_required",
    ],
)
def test_spent_money_is_known_by_code_and_by_type(word):
    """No amount of waiting fills it up again: a retry only adds load."""
    assert is_quota(ProviderFault("m", code=word))
    assert is_quota(ProviderFault("m", type=word))


@pytest.mark.parametrize("word", ["rate_limit_exceeded", "RESOURCE_EXHAUSTED", "tokens", None])
def test_a_rate_limit_is_not_a_quota(word):
    """Gemini says "current quota" for a limit per minute; only codes count."""
    assert not is_quota(ProviderFault("You exceeded your current quota.", code=word))


def test_a_refused_credential_is_known_by_code_or_sentence():
    """Gemini answers 400 and says it in the sentence alone."""
    assert is_credential_refused(ProviderFault("m", code="invalid_api_key"))
    assert is_credential_refused(ProviderFault("API key not valid. Please pass a valid API key."))
    assert says_incorrect_key(ProviderFault("Incorrect API key provided: …1234."))
    assert not says_incorrect_key(ProviderFault("No auth credentials found", code="401"))


def test_every_word_is_lower_case_and_an_error():
    """The look-up folds case; a word in capitals would never be found."""
    assert all(word == word.lower() for word in STATUS_OF_WORD)
    assert all(400 <= status <= 599 for status in STATUS_OF_WORD.values())


@pytest.mark.parametrize(
    ("message", "code", "expected"),
    [
        ("API key not valid. Please pass a valid API key.", None, True),
        ("No.", "invalid_api_key", True),
        ("No.", "API_KEY_INVALID", True),
        ("incorrect api key is not a valid model ID", None, False),
        ("API key not valid. Please pass a valid API key. is not a model", None, False),
        ("No.", None, False),
    ],
)
def test_nobody_can_have_a_credential_refused_by_what_they_write(
    message: str, code: str | None, *, expected: bool
) -> None:
    """Providers quote the names of models."""
    assert names_credential(ProviderFault(message, code=code)) is expected
