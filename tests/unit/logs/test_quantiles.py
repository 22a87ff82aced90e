"""Quantiles without the values."""

import math
import random

import pytest

from gateway.logs.quantiles import Quantiles


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99, 1.0])
def test_a_figure_is_within_one_percent(share: float) -> None:
    """An operator compares it with a promise."""
    chance = random.Random(1)  # noqa: S311 - nothing secret
    values = sorted(chance.lognormvariate(-2, 2) for _ in range(20_000))
    quantiles = Quantiles()
    for value in values:
        quantiles.add(value)

    found = quantiles.at(share)

    assert found == pytest.approx(values[math.ceil(share * len(values)) - 1], rel=0.0101)


def test_there_may_be_none_or_one() -> None:
    """A provider that never answered has no time to first content."""
    quantiles = Quantiles()
    assert quantiles.at(0.5) is None

    quantiles.add(0.25)

    assert [quantiles.at(share) for share in (0.01, 0.5, 0.99)] == [
        pytest.approx(0.25, rel=0.01)
    ] * 3


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-9, 1e300, 1e308])
def test_no_value_is_too_small_or_too_great(value: float) -> None:
    """What somebody else wrote into a log ends no summary."""
    quantiles = Quantiles()
    quantiles.add(value)

    assert quantiles.at(0.5) == pytest.approx(max(value, 1e-6), rel=0.011)
