"""Connections of one provider at several addresses."""

from gateway.core.pool_standing import PoolStanding


def test_a_request_is_in_flight_from_dialing_on() -> None:
    """It has a place by then."""
    assert PoolStanding("groq", busy=3, idle=5, dialing=2, limit=10).in_flight == 5


def test_addresses_of_one_provider_are_added_up() -> None:
    """Callers' own resources are one provider to whoever watches."""
    one = PoolStanding("azure", 1, 2, 3, 10)

    assert one.plus(PoolStanding("azure", 10, 20, 30, 10)) == PoolStanding("azure", 11, 22, 33, 20)
