"""The tree of errors: closed, and each with what a caller needs."""

import re

import pytest

import gateway.core.upstream_errors
from gateway.core.errors import (
    DownstreamError,
    GatewayError,
    InternalError,
    InvalidRequestError,
    UpstreamError,
)

BRANCHES = (DownstreamError, UpstreamError, InternalError)
# A class without a code of its own is an example of the class above it.
SAME_CODE_AS_ABOVE = {
    "InvalidRequestError",
    "InternalError",
    "UpstreamAnswerError",
    "UpstreamHungUpError",
}


def all_errors(root: type[GatewayError] = GatewayError) -> list[type[GatewayError]]:
    """Every class of our own below one."""
    assert gateway.core.upstream_errors  # its classes are in the tree only when it is imported
    own = [kind for kind in root.__subclasses__() if kind.__module__.startswith("gateway.")]
    return [*own, *(below for kind in own for below in all_errors(kind))]


def test_codes_are_a_list_without_repetition() -> None:
    """A code in a log or a ticket must lead to one place in the source."""
    codes = [kind.code for kind in all_errors() if kind.__name__ not in SAME_CODE_AS_ABOVE]

    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_its_own_code_status_and_type(kind: type[GatewayError]) -> None:
    """A class that forgets its code would hide behind its parent's."""
    assert re.fullmatch(r"[a-z][a-z_]{2,40}", kind.code)
    assert re.fullmatch(r"[a-z][a-z_]{2,40}", kind.type)
    assert 400 <= kind.status <= 599
    assert ("code" in vars(kind)) != (kind.__name__ in SAME_CODE_AS_ABOVE)


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_belongs_to_one_branch(kind: type[GatewayError]) -> None:
    """Whose fault it is decides the outcome, the log level and who gets to know."""
    assert sum(issubclass(kind, branch) for branch in BRANCHES) == 1
    assert kind.__name__.endswith("Error")
    assert kind.__doc__


@pytest.mark.parametrize("kind", all_errors(DownstreamError), ids=lambda kind: kind.__name__)
def test_what_the_caller_can_mend_is_a_4xx(kind: type[GatewayError]) -> None:
    """A 5xx makes clients retry what can never work."""
    assert 400 <= kind.status < 500


@pytest.mark.parametrize("kind", all_errors(UpstreamError), ids=lambda kind: kind.__name__)
def test_a_failing_provider_is_not_the_callers_fault(kind: type[GatewayError]) -> None:
    """A 4xx by class would accuse the caller; only a provider's own status may."""
    assert kind.status in {502, 504}


def test_the_detail_stays_out_of_what_is_shown() -> None:
    """`str(error)` ends up in answers and tracebacks; the detail is for our log alone."""
    error = InvalidRequestError("Say it so.", detail="row 7", param="n", headers={"A": "b"})

    assert str(error) == error.public == "Say it so."
    assert (error.detail, error.param, dict(error.headers)) == ("row 7", "n", {"A": "b"})
