"""What a provider's `usage` may hold, and what of it counts."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.core.usage import MAX_PLAUSIBLE_TOKENS, MAX_PLAUSIBLE_USD, Usage, parse_usage


def test_counts_are_read_by_their_names() -> None:
    """Every provider of the OpenAI dialect calls them so."""
    value = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

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


@pytest.mark.parametrize(
    ("details", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 256}}, 256),  # OpenAI, Groq, OpenRouter
        ({"prompt_token_details": {"cached_tokens": 256}}, 256),  # Mistral's second spelling
        ({"prompt_tokens_details": None, "num_cached_tokens": 256}, 256),  # Mistral
        ({"prompt_cache_hit_tokens": 256, "prompt_cache_miss_tokens": 80}, 256),  # DeepSeek
        ({"cached_tokens": 256}, 256),  # Together
        ({"prompt_tokens_details": {"cached_tokens": 0}}, 0),
        ({"prompt_tokens_details": {"cached_tokens": 337}}, None),  # more than there were
        ({"prompt_tokens_details": {"audio_tokens": 0}}, None),
        ({}, None),
    ],
)
def test_what_came_from_a_cache_is_read_wherever_it_stands(
    details: Mapping[str, Any], cached: int | None
) -> None:
    """It costs a tenth of the rest."""
    usage = parse_usage({"prompt_tokens": 336, "completion_tokens": 96, **details})

    assert usage == Usage(336, 96, "provider", tokens_cached=cached)


@pytest.mark.parametrize(
    ("value", "tokens_out", "reasoning"),
    [
        ({"completion_tokens": 96, "completion_tokens_details": {"reasoning_tokens": 59}}, 96, 59),
        ({"completion_tokens": 96, "reasoning_tokens": 59}, 96, 59),  # DeepSeek at Azure
        # xAI counts reasoning beside the answer, and bills both.
        (
            {
                "completion_tokens": 1,
                "total_tokens": 303,
                "completion_tokens_details": {"reasoning_tokens": 290},
            },
            291,
            290,
        ),
        # Google as well, and only the sum says so.
        ({"completion_tokens": 198, "total_tokens": 615}, 603, 405),
        ({"completion_tokens": 198, "total_tokens": 10**18}, 198, None),
        ({"completion_tokens": 198, "total_tokens": 5}, 198, None),
        ({"completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 9}}, 1, None),
        ({"completion_tokens": 8, "completion_tokens_details": {"reasoning_tokens": -1}}, 8, None),
    ],
)
def test_reasoning_is_a_part_of_the_answer(
    value: Mapping[str, Any], tokens_out: int, reasoning: int | None
) -> None:
    """It is billed as such, shown or not."""
    usage = parse_usage({"prompt_tokens": 12, **value})

    assert usage == Usage(12, tokens_out, "provider", tokens_reasoning=reasoning)


def test_a_sum_is_no_thought_where_the_prompt_is_not_counted() -> None:
    """The prompt is in it then."""
    value = {"prompt_tokens": 0, "completion_tokens": 57, "total_tokens": 67}

    assert parse_usage(value) == Usage(0, 57, "provider")


@pytest.mark.parametrize(
    ("fields", "micros"),
    [
        ({"cost": Decimal("0.0004970133333333333")}, 497),
        ({"cost": 0.00093}, 930),
        ({"cost": "0.0000005"}, 1),
        ({"cost": 0}, 0),
        ({"cost": 7.79e-05, "is_byok": False, "cost_details": {"upstream_inference_cost": 1}}, 78),
        (
            {"cost": "0.05", "is_byok": True, "cost_details": {"upstream_inference_cost": 1}},
            1050000,
        ),
        ({"cost": "0.05", "is_byok": True, "cost_details": {"upstream_inference_cost": -1}}, 50000),
        ({"cost": {"input_tokens_cost": 1e-5, "total_cost": Decimal("0.006")}}, 6000),  # Perplexity
        ({"cost_in_usd_ticks": 37_756_000}, 3_776),  # xAI
    ],
)
def test_what_the_provider_charges_is_read_exactly(
    fields: Mapping[str, Any], micros: int | None
) -> None:
    """Money, from whatever JSON a provider writes."""
    usage = parse_usage({"prompt_tokens": 3, "completion_tokens": 4, **fields})

    assert usage == Usage(3, 4, "provider", provider_cost_micros=micros)


@pytest.mark.parametrize(
    "lie",
    [
        -1,
        MAX_PLAUSIBLE_USD + 1,
        Decimal("1E+999999999"),
        "1E+99999999999999999999999",
        "NaN",
        float("inf"),
        True,
        "much",
        [],
        {"total_cost": "-0.1"},
        None,
    ],
)
def test_a_charge_that_cannot_be_true_is_none(lie: object) -> None:
    """One absurd number would empty somebody's budget."""
    usage = parse_usage({"prompt_tokens": 3, "completion_tokens": 4, "cost": lie})

    assert usage == Usage(3, 4, "provider")


def test_a_charge_alone_is_usage() -> None:
    """What is billed is not lost for want of a count."""
    assert parse_usage({"cost": 2}) == Usage(None, None, "provider", provider_cost_micros=2_000_000)


def test_what_nobody_counted_is_estimated() -> None:
    """And what is partly an estimate is one."""
    counted, half = Usage(3, 4, "provider"), Usage(None, 4, "provider", tokens_reasoning=2)

    assert counted.fill(100, 100) is counted
    assert half.fill(100, 100) == Usage(100, 4, "estimate", tokens_reasoning=2)
    assert Usage(None, None, "estimate").tokens == 0


@pytest.mark.parametrize(
    ("later", "corrected"),
    [
        (Usage(2, 3, "provider"), Usage(2, 3, "provider")),
        (Usage(0, 0, "provider"), Usage(9, 5, "provider", 4, 2, 50)),
        (Usage(None, None, "provider"), Usage(9, 5, "provider", 4, 2, 50)),
        (Usage(None, None, "provider", None, None, 60), Usage(9, 5, "provider", 4, 2, 60)),
        (Usage(7, 0, "provider", 1), Usage(7, 5, "provider", 1, 2, 50)),
        (Usage(0, 7, "provider", None, 3), Usage(9, 7, "provider", 4, 3)),
        (Usage(0, 7, "provider", None, None, 70), Usage(9, 7, "provider", 4, None, 70)),
    ],
)
def test_a_later_report_corrects_what_it_has_counted(later: Usage, corrected: Usage) -> None:
    """What was charged for fewer tokens out is not what they cost by now."""
    assert Usage(9, 5, "provider", 4, 2, 50).correct(later) == corrected


def test_two_attempts_add_up() -> None:
    """I09: both are billed."""
    first, second = Usage(3, 4, "provider", 1, None, 50), Usage(5, None, "estimate", 2, 3)

    assert first.plus(second) == Usage(8, 4, "estimate", 3, 3, 50)
    assert first.plus(first).source == "provider"


def test_every_recorded_usage_is_understood(recorded_usages: list[dict[str, Any]]) -> None:
    """Shapes that real providers sent."""
    for value in recorded_usages:
        usage = parse_usage(value)
        assert usage is not None, value
        total = value["prompt_tokens"] + value["completion_tokens"]
        assert usage.tokens in {total, value.get("total_tokens", total)}


@pytest.fixture
def recorded_usages(recordings: Path) -> list[dict[str, Any]]:
    """What stands under `usage` in the recorded streams of the OpenAI dialect."""
    found = []
    for path in sorted(recordings.glob("*.sse")):
        for line in path.read_bytes().splitlines():
            if not line.startswith(b"data: {"):
                continue
            usage = json.loads(line[6:]).get("usage")
            if isinstance(usage, dict) and "prompt_tokens" in usage:
                found.append(usage)
    assert found
    return found
