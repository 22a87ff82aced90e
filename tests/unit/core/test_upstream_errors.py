"""How a provider can fail us."""

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    ProviderFault,
    UpstreamAddressError,
    UpstreamConnectError,
    UpstreamFirstContentTimeoutError,
    UpstreamProtocolError,
    UpstreamRedirectError,
    UpstreamRejectedError,
    UpstreamTotalTimeoutError,
)


def test_an_answer_with_an_error_keeps_the_providers_status_and_words() -> None:
    """A 400 of the provider is a 400 to the caller: they sent it."""
    fault = ProviderFault("No such model.", code="model_not_found", param="model")

    error = UpstreamRejectedError("Groq", 404, fault, headers={"retry-after": "2"})

    assert (error.status, error.public, error.param) == (404, "No such model.", "model")
    assert (error.label, error.fault, dict(error.headers)) == ("Groq", fault, {"retry-after": "2"})


def test_one_answer_with_an_error_does_not_change_the_class() -> None:
    """The status is an instance's own: the next error of that class starts afresh."""
    UpstreamRejectedError("Groq", 404, ProviderFault("No."))

    assert UpstreamRejectedError.status == UpstreamError.status


def test_only_what_another_attempt_may_mend_is_retryable() -> None:
    """A retry of a time-out costs the caller a second time-out."""
    assert UpstreamConnectError.is_retryable
    assert not any(
        kind.is_retryable
        for kind in (
            UpstreamAddressError,
            UpstreamFirstContentTimeoutError,
            UpstreamProtocolError,
            UpstreamRedirectError,
            UpstreamTotalTimeoutError,
        )
    )
