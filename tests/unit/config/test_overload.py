"""When less is let in, as it may be written."""

import pytest
from pydantic import ValidationError

from gateway.config.overload import OverloadSpec


def test_it_is_on_unless_somebody_says_otherwise() -> None:
    """An overload is not the moment to read about a setting."""
    spec = OverloadSpec()

    assert spec.enabled
    assert (spec.max_in_flight, spec.max_lag_s) == (10_000, 0.25)
    assert (spec.max_memory_share, spec.max_files_share) == (0.85, 0.8)


@pytest.mark.parametrize(
    "written",
    [{"max_in_flight": 0}, {"max_lag_s": 0}, {"max_memory_share": 1.1}, {"max_files_share": 0}],
    ids=lambda written: next(iter(written)),
)
def test_what_would_let_in_nobody_is_refused(written: dict[str, float]) -> None:
    """A gateway that answers 503 to everything is a mistake in a file."""
    with pytest.raises(ValidationError):
        OverloadSpec.model_validate(written)
