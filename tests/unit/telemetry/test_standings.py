"""What one worker knows and another does not."""

from gateway.core.breaker import BreakerStanding, BreakerState
from gateway.core.credential import CredentialStanding, CredentialState
from gateway.telemetry.standings import merge_breakers, merge_credentials

OK = CredentialStanding("groq", "A", CredentialState.OK, 3)
SPENT = CredentialStanding("groq", "A", CredentialState.SPENT, 1, 5.0, 9.0, "no_money", 402, 5.0)


def test_a_credential_is_as_the_worker_says_that_knows_the_worst() -> None:
    """The first of four that hears of a revoked key is right."""
    [merged] = merge_credentials({"0": [OK], "1": [SPENT], "2": [OK]})

    assert (merged.state, merged.in_flight, merged.until) == (CredentialState.SPENT, 7, 9.0)
    assert (merged.last_error, merged.last_status) == ("no_money", 402)
    assert merged.workers == {"0": "ok", "1": "spent", "2": "ok"}


def test_one_worker_is_shown_as_it_is() -> None:
    """Nobody needs to know that there could be several."""
    assert merge_credentials({"0": [OK]}) == [OK]


def test_credentials_keep_their_order() -> None:
    """That of the configuration."""
    other = CredentialStanding("demo", "B", CredentialState.OK, 0)

    assert [one.id for one in merge_credentials({"0": [OK, other], "1": [OK, other]})] == ["A", "B"]


def test_a_breaker_is_as_the_worker_says_that_knows_the_worst() -> None:
    """Open in one of them is an outage for a part of the callers."""
    states = (BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN)

    merged = merge_breakers([[BreakerStanding("groq", state)] for state in states])

    assert merged == [BreakerStanding("groq", BreakerState.OPEN)]
