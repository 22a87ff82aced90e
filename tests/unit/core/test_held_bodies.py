"""What bodies count for, and how long."""

import asyncio
import threading

import pytest

from gateway.core.errors import OverloadedError
from gateway.core.held_bodies import MAX_INLINE_BYTES, HeldBodies, HeldBody


def test_what_does_not_fit_is_refused_and_not_counted() -> None:
    """The others go on."""
    bodies = HeldBodies(100)
    HeldBody(bodies).keep(60)

    with pytest.raises(OverloadedError) as refusal:
        HeldBody(bodies).keep(41)

    assert 1 <= int(refusal.value.headers["Retry-After"]) <= 4
    assert bodies.held_bytes == 60


def test_a_body_is_let_go_once() -> None:
    """A stream does so when it begins, and whoever has read the body does so in the end."""
    bodies = HeldBodies(100)
    first, second = HeldBody(bodies), HeldBody(bodies)
    first.keep(30)
    first.keep(10)
    second.keep(20)

    first.let_go()
    first.let_go()

    assert (bodies.held_bytes, first.held_bytes, second.held_bytes) == (20, 0, 20)


async def test_a_small_body_is_parsed_at_once_and_a_large_one_in_a_thread() -> None:
    """A thread costs more than most bodies, and a large body everybody's time."""
    bodies = HeldBodies(100)

    def name_thread(_: bytes) -> threading.Thread:
        return threading.current_thread()

    small = await bodies.parse(name_thread, b"x" * MAX_INLINE_BYTES)
    large = await bodies.parse(name_thread, b"x" * (MAX_INLINE_BYTES + 1))

    assert small is threading.main_thread()
    assert large is not threading.main_thread()


async def test_large_bodies_are_parsed_one_at_a_time() -> None:
    """Each takes three times its size while it is."""
    bodies = HeldBodies(100)
    at_once: list[bool] = []
    only_one = threading.Lock()

    def take_turn(body: bytes) -> int:
        is_first = only_one.acquire(blocking=False)
        at_once.append(not is_first)
        sum(body)  # as long as it may take another to come in
        if is_first:
            only_one.release()
        return len(body)

    large = b"x" * (8 * MAX_INLINE_BYTES)

    assert (
        await asyncio.gather(*(bodies.parse(take_turn, large) for _ in range(4)))
        == [len(large)] * 4
    )
    assert at_once == [False] * 4
