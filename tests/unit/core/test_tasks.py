"""Background tasks: held, named, waited for."""

import asyncio

from gateway.core.tasks import Tasks


def ignore_crash(name: str, error: BaseException) -> None:
    """Crashes are not what this test is about."""
    raise AssertionError(name) from error


async def test_a_crash_is_reported_once_under_its_name() -> None:
    """A task that dies in silence is found weeks later."""
    crashes: list[tuple[str, str]] = []
    tasks = Tasks(lambda name, error: crashes.append((name, repr(error))))

    async def crash() -> None:
        raise ValueError("oh")

    tasks.spawn("flush", crash())
    assert await tasks.wait(5)

    assert crashes == [("flush", "ValueError('oh')")]
    assert len(tasks) == 0


async def test_waiting_ends_when_the_time_is_over() -> None:
    """A shutdown must not hang on one task."""
    tasks = Tasks(ignore_crash)
    tasks.spawn("forever", asyncio.Event().wait())

    assert not await tasks.wait(0.01)
    assert len(tasks) == 1

    await tasks.cancel()
    assert len(tasks) == 0


async def test_waiting_covers_what_the_tasks_start() -> None:
    """The last flush is often started by the last exchange."""
    tasks = Tasks(ignore_crash)
    ended: list[str] = []

    async def second() -> None:
        await asyncio.sleep(0)
        ended.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        tasks.spawn("second", second())

    tasks.spawn("first", first())

    assert await tasks.wait(5)
    assert ended == ["second"]


async def test_cancelling_is_no_crash() -> None:
    """Every shutdown would otherwise log errors."""
    tasks = Tasks(ignore_crash)
    tasks.spawn("forever", asyncio.Event().wait())

    await tasks.cancel()

    assert await tasks.wait(0)
