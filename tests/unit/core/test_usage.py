"""What a provider's `usage` may hold, and what of it counts."""

import pytest

from gateway.core.usage import MAX_PLAUSIBLE_TOKENS, Usage, parse_usage


def test_counts_are_read_by_their_names() -> None:
    """Every provider of the OpenAI dialect calls them so."""
    value = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": 0.1}

    assert parse_usage(value) == Usage(3, 4, "provider")


@pytest.mark.parametrize(
    "lie", [-1, MAX_PLAUSIBLE_TOKENS + 1, 10**18, "7", 7.0, True, None, [], {}]
)
def test_a_count_that_cannot_be_true_is_no_count(lie: object) -> None:
    """One absurd number would empty somebody's budget."""
    assert parse_usage({"prompt_tokens": 3, "completion_tokens": lie}) == Usage(3, None, "provider")
    assert parse_usage({"prompt_tokens": lie, "completion_tokens": lie}) is None


@pytest.mark.parametrize("value", [None, {}, [], "usage", 5, {"total_tokens": 5}])
def test_what_holds_no_count_is_no_usage(value: object) -> None:
    """`usage: null` stands in every chunk of some providers."""
    assert parse_usage(value) is None


def test_zero_is_a_count() -> None:
    """An answer of nothing is still counted by the provider."""
    assert parse_usage({"prompt_tokens": 0, "completion_tokens": 0}) == Usage(0, 0, "provider")
