"""Whose failure it is decides whether others are refused for it."""

import pytest

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    ProviderFault,
    UpstreamAddressError,
    UpstreamBadResponseError,
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamCredentialError,
    UpstreamCutError,
    UpstreamDnsError,
    UpstreamFirstContentTimeoutError,
    UpstreamHungUpError,
    UpstreamIdleTimeoutError,
    UpstreamProtocolError,
    UpstreamRateLimitError,
    UpstreamRedirectError,
    UpstreamRejectedError,
    UpstreamReplyTooLargeError,
    UpstreamRequestTimeoutError,
    UpstreamServerError,
    UpstreamStreamError,
    UpstreamTlsError,
    UpstreamTotalTimeoutError,
    UpstreamTruncatedError,
)
from gateway.upstream.faults import Culprit, find_culprit


def answer(kind: type, status: int) -> UpstreamError:
    """An error that the provider has said."""
    error: UpstreamError = kind("Groq", status, ProviderFault("No."))
    return error


@pytest.mark.parametrize(
    ("error", "culprit"),
    [
        (UpstreamConnectError("No."), Culprit.HOST),
        (UpstreamConnectTimeoutError("No."), Culprit.HOST),
        (UpstreamDnsError("No."), Culprit.HOST),
        (UpstreamTlsError("No."), Culprit.HOST),
        (UpstreamRequestTimeoutError("No."), Culprit.HOST),
        (UpstreamHungUpError("No."), Culprit.MODEL),
        (UpstreamFirstContentTimeoutError("No."), Culprit.MODEL),
        (UpstreamIdleTimeoutError("No."), Culprit.MODEL),
        (UpstreamCutError("No."), Culprit.MODEL),
        (UpstreamTruncatedError("No."), Culprit.MODEL),
        (UpstreamProtocolError("No."), Culprit.MODEL),
        (UpstreamBadResponseError("No."), Culprit.MODEL),
        (answer(UpstreamServerError, 500), Culprit.MODEL),
        (answer(UpstreamServerError, 503), Culprit.MODEL),
        (answer(UpstreamServerError, 529), Culprit.MODEL),
        (answer(UpstreamStreamError, 502), Culprit.MODEL),
        (answer(UpstreamServerError, 501), Culprit.NOBODY),
        (answer(UpstreamStreamError, 429), Culprit.NOBODY),
        (answer(UpstreamRejectedError, 400), Culprit.NOBODY),
        (answer(UpstreamRejectedError, 404), Culprit.NOBODY),
        (answer(UpstreamRejectedError, 408), Culprit.NOBODY),
        (answer(UpstreamCredentialError, 401), Culprit.NOBODY),
        (answer(UpstreamRateLimitError, 429), Culprit.NOBODY),
        (UpstreamTotalTimeoutError("No."), Culprit.NOBODY),
        (UpstreamReplyTooLargeError("No."), Culprit.NOBODY),
        (UpstreamRedirectError("No."), Culprit.NOBODY),
        (UpstreamAddressError("No."), Culprit.NOBODY),
    ],
    ids=lambda value: f"{value.code}-{value.status}" if isinstance(value, UpstreamError) else "",
)
def test_only_what_is_the_provider_s_own_counts(error: UpstreamError, culprit: Culprit) -> None:
    """A caller with bad requests, or a limit, must not make an outage for everybody."""
    assert find_culprit(error, has_lagged=False) is culprit


@pytest.mark.parametrize(
    "error",
    [
        UpstreamConnectTimeoutError("No."),
        UpstreamFirstContentTimeoutError("No."),
        UpstreamIdleTimeoutError("No."),
    ],
    ids=lambda error: error.code,
)
def test_a_deadline_proves_nothing_when_we_were_late_ourselves(error: UpstreamError) -> None:
    """M10: the answer may lie in our own socket, unread."""
    assert find_culprit(error, has_lagged=True) is Culprit.NOBODY


def test_what_was_said_counts_however_late_we_were() -> None:
    """A 503 is a 503."""
    error = answer(UpstreamServerError, 503)

    assert find_culprit(error, has_lagged=True) is Culprit.MODEL


def test_what_this_machine_lacks_is_not_the_provider_s_failure() -> None:
    """M10: out of files, every provider seems to be down."""
    error = UpstreamConnectError("No.")
    error.is_ours = True

    assert find_culprit(error, has_lagged=False) is Culprit.NOBODY
