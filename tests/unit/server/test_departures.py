"""Those who left, some at a time."""

import asyncio

from gateway.server.departures import AT_ONCE, Departures


async def next_turn() -> None:
    """Let everything run that is ready now."""
    await asyncio.sleep(0)


async def test_a_crowd_is_seen_off_in_turns() -> None:
    """Whoever else wants something waits for one turn, not for all of them."""
    departures = Departures()
    seen: list[int] = []
    for number in range(2 * AT_ONCE + 1):
        departures.add(lambda number=number: seen.append(number))  # type: ignore[misc]

    counts = []
    for _ in range(3):
        await next_turn()
        counts.append(len(seen))

    assert counts == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1]
    assert seen == sorted(seen)


async def test_one_that_fails_does_not_keep_the_others() -> None:
    """They would be taken for callers who are still there."""
    departures = Departures()
    seen: list[str] = []
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    departures.add(lambda: seen.append(1 / 0))  # type: ignore[arg-type]
    departures.add(lambda: seen.append("second"))
    await next_turn()
    await next_turn()

    assert seen == ["second"]
    assert len(reported) == 1


async def test_who_leaves_meanwhile_is_seen_off_too() -> None:
    """One departure may be the reason of another."""
    departures = Departures()
    seen: list[str] = []

    departures.add(lambda: departures.add(lambda: seen.append("later")))
    await next_turn()
    await next_turn()

    assert seen == ["later"]
