"""Going down waits for this counter."""

import asyncio

from gateway.core.exchange import Exchange
from gateway.telemetry.in_flight import InFlight

EXCHANGE = Exchange("r1", 0.0, "GET", "/", "unix", ())


async def test_nothing_in_flight_is_no_wait() -> None:
    """An idle gateway stops at once."""
    assert await InFlight().wait_until_none(0)


async def test_the_last_one_ends_the_wait() -> None:
    """Not the time that was allowed."""
    in_flight = InFlight()
    in_flight.count_in()
    in_flight.count_in()
    waiting = asyncio.ensure_future(in_flight.wait_until_none(60))
    await asyncio.sleep(0)

    in_flight.count_out(EXCHANGE)
    await asyncio.sleep(0)
    assert not waiting.done()
    in_flight.count_out(EXCHANGE)
    assert await waiting


async def test_the_wait_ends_after_its_time() -> None:
    """A stream of an hour does not keep a gateway from stopping."""
    in_flight = InFlight()
    in_flight.count_in()

    assert not await in_flight.wait_until_none(0.01)
    assert in_flight.count == 1


async def test_the_wait_can_be_given_up() -> None:
    """Whoever sends a second signal will not wait."""
    in_flight = InFlight()
    in_flight.count_in()
    waiting = asyncio.ensure_future(in_flight.wait_until_none(60))
    await asyncio.sleep(0)

    in_flight.stop_waiting()

    assert not await waiting
