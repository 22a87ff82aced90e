"""One mistake does not fill the disk."""

from gateway.telemetry.storm_guard import LINES_A_SECOND, MAX_KINDS, NEVER, StormGuard


def test_so_many_a_second_and_the_rest_is_counted() -> None:
    """L05: for each event and reason; one that nobody can provoke is never withheld."""
    guard = StormGuard()
    crash, other = {"exc_info": ValueError("a")}, {"exc_info": KeyError("b")}

    crashes = [guard.admits("request.crashed", crash, 5.0) for _ in range(1_000)]
    others = [guard.admits("request.crashed", other, 5.0) for _ in range(3)]
    changes = [guard.admits("key.created", {}, 5.0) for _ in range(1_000)]

    assert (sum(crashes), all(others), all(changes)) == (LINES_A_SECOND, True, True)
    assert guard.withheld == 1_000 - LINES_A_SECOND
    assert guard.due_at == 6.0
    assert list(guard.sum_up(6.0)) == [
        {"of": "request.crashed", "reason": "ValueError", "count": 990}
    ]
    assert guard.due_at == NEVER


def test_a_reason_is_found_wherever_it_stands() -> None:
    """What the log is given of an error is the error, or what `sys.exc_info` says."""
    error = ValueError("canary")
    for fields, reason in (
        ({"exc_info": error}, "ValueError"),
        ({"exc_info": (ValueError, error, None)}, "ValueError"),
        ({"exc_info": (None, None, None), "logger": "asyncio"}, "asyncio"),
        ({"exc_info": True, "error_code": "stalled"}, "stalled"),
        ({"task": "t" * 99}, "t" * 64),
        ({}, None),
    ):
        guard = StormGuard()
        for _ in range(LINES_A_SECOND + 1):
            guard.admits("library.logged", fields, 1.0)

        found = [line["reason"] for line in guard.sum_up(2.0)]

        assert found == [reason], fields


def test_the_next_second_has_its_own() -> None:
    """What went on is said again, with what has come since."""
    guard = StormGuard()
    for now in (1.0, 2.5):
        for _ in range(30):
            guard.admits("library.logged", {"logger": "asyncio"}, now)

    assert [line["count"] for line in guard.sum_up(3.0)] == [40]
    assert list(guard.sum_up(9.0)) == []


def test_reasons_are_bounded() -> None:
    """What somebody sends may be in one."""
    guard = StormGuard()

    for number in range(5_000):
        guard.admits("task.crashed", {"task": f"task-{number}"}, 1.0)
    list(guard.sum_up(9.0))
    again = [guard.admits("task.crashed", {"task": f"again-{n}"}, 9.0) for n in range(MAX_KINDS)]

    assert all(again)
