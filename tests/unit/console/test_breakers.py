"""What `/readyz` says of providers that fail."""

from gateway.console.breakers import name_breakers
from gateway.core.breaker import BreakerStanding, BreakerState


def test_only_what_is_not_as_usual_is_named() -> None:
    """A page that lists forty healthy providers is not read."""
    standings = [
        BreakerStanding("groq", BreakerState.CLOSED),
        BreakerStanding("openai", BreakerState.OPEN),
        BreakerStanding("xai", BreakerState.HALF_OPEN),
    ]

    assert name_breakers(standings) == {"openai": "open", "xai": "half_open"}
