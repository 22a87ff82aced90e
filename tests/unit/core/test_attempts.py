"""The record of one attempt."""

import pytest

from gateway.core.attempts import AttemptRecord
from gateway.core.errors import GatewayError, ShuttingDownError
from gateway.core.upstream_errors import UpstreamCutError


@pytest.mark.parametrize(
    ("error", "is_providers_fault"),
    [(UpstreamCutError("Cut."), True), (ShuttingDownError("Going."), False)],
)
def test_an_error_is_noted_with_whose_fault_it_was(
    error: GatewayError, *, is_providers_fault: bool
) -> None:
    """Whoever reads the books wants to know which provider fails."""
    record = AttemptRecord(1, "sim", "m", "SIM_API_KEY", 1.0)

    record.note_error(error)

    assert (record.error_code, record.is_providers_fault) == (error.code, is_providers_fault)


def test_what_begins_again_has_not_failed() -> None:
    """It may still be cancelled before it is sent, and then that is how it ended."""
    record = AttemptRecord(1, "sim", "m", "SIM_API_KEY", 1.0, ended_at=2.0)
    record.note_error(UpstreamCutError("Cut."))

    record.begin_again()

    assert (record.error_code, record.is_providers_fault, record.ended_at) == ("", False, 0.0)
