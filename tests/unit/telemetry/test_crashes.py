"""Background tasks that died, on the log."""

from gateway.core.tasks import Tasks
from gateway.telemetry.crashes import report_crash
from tests.plugins.chain import LogLines


async def test_a_task_that_dies_is_on_the_log(log_lines: LogLines) -> None:
    """With its name and the reason; nobody else would ever hear of it."""

    async def fail() -> None:
        raise ValueError("a bug")

    tasks = Tasks(report_crash)
    tasks.spawn("flush", fail())
    await tasks.wait(5)

    (line,) = log_lines.find("task.crashed")
    assert (line["level"], line["task"]) == ("error", "flush")
    assert "ValueError: a bug" in line["exception"]
