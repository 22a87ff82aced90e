"""Whether another attempt is made, and how long before it."""

import pytest

from gateway.core.upstream_errors import (
    ProviderFault,
    UpstreamConnectError,
    UpstreamRateLimitError,
    UpstreamRedirectError,
)
from gateway.relay.retries import MAX_WAITING_S, ExchangeRetries

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


def retries_of(retries: int, share: float = 1.0) -> ExchangeRetries:
    """Retries whose jitter is always this share of its range."""
    return ExchangeRetries(retries, lambda: NOW, lambda low, high: low + share * (high - low))


def failure(**headers: str) -> UpstreamRateLimitError:
    """A retryable failure with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = UpstreamRateLimitError("Groq", 429, ProviderFault("Slow down."), headers=named)
    error.is_retryable = True
    return error


def test_there_are_no_more_retries_than_the_registry_says() -> None:
    """Each costs the provider work, and the caller time."""
    retries = retries_of(2)

    waits = [retries.spend(UpstreamConnectError("No.")) for _ in range(4)]

    assert waits == [0.5, 1.0, None, None]


def test_a_failure_that_another_attempt_cannot_mend_ends_it() -> None:
    """It also costs none of them."""
    retries = retries_of(1)

    assert retries.spend(UpstreamRedirectError("No.")) is None
    assert retries.spend(UpstreamConnectError("No.")) == 0.5


def test_the_wait_is_drawn_from_all_of_its_range() -> None:
    """Full jitter: callers that failed together do not come back together."""
    assert [retries_of(1, share).spend(failure()) for share in (0.0, 0.5, 1.0)] == [0.0, 0.25, 0.5]


def test_the_range_grows_but_not_without_end() -> None:
    """The third try waits longer than the second; nobody waits a minute."""
    retries = retries_of(5, share=0.1)

    waits = [retries.spend(failure()) for _ in range(5)]

    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.4])


def test_all_waits_together_are_bounded() -> None:
    """A caller would rather have the error than wait for the third time."""
    retries = retries_of(5)

    waits = [retries.spend(failure()) for _ in range(5)]

    assert waits == [0.5, 1.0, 2.0, None, None]
    assert sum(wait for wait in waits if wait is not None) <= MAX_WAITING_S


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry_after": "2"}, 2.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "5"}, 5.0),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after_ms": "250", "retry_after": "4"}, 0.25),
        ({"retry_after": "Fri, 15 Jan 2027 08:00:03 GMT"}, 3.0),
        ({"retry_after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
    ],
)
def test_what_the_provider_asks_for_is_waited(headers: dict[str, str], wait_s: float) -> None:
    """It knows when its window is over; jitter would only be wrong."""
    assert retries_of(1).spend(failure(**headers)) == wait_s


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "6"},
        {"retry_after": "1000000000"},
        {"retry_after_ms": "5001"},
        {"retry_after": "Fri, 15 Jan 2027 09:00:00 GMT"},
    ],
)
def test_a_longer_wait_is_the_callers_to_wait(headers: dict[str, str]) -> None:
    """It is passed on in the answer; a connection that sleeps helps nobody."""
    assert retries_of(3).spend(failure(**headers)) is None


@pytest.mark.parametrize("value", ["-1", "soon", "", "nan", "1e3"])
def test_a_wait_that_makes_no_sense_is_not_believed(value: str) -> None:
    """Fault F13."""
    assert retries_of(1).spend(failure(retry_after=value)) == 0.5


def test_what_was_asked_for_counts_against_the_bound() -> None:
    """Two waits of three seconds are six."""
    retries = retries_of(3)

    assert [retries.spend(failure(retry_after="3")) for _ in range(2)] == [3.0, None]


def test_a_wait_that_is_known_is_taken_as_it_is() -> None:
    """Whether another attempt may help is known too, and what it costs is the same."""
    retries = retries_of(3)

    waits = [retries.spend_knowing(seconds) for seconds in (0.0, 4.0, 4.0, float("inf"), 1.0, 0.0)]

    assert waits == [0.0, 4.0, None, None, 1.0, None]
