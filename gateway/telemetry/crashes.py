"""What is said of a background task that died.

The rule here: it is a mistake of ours, so the traceback is written, and everything else goes on.
"""

import structlog


def report_crash(task: str, error: BaseException) -> None:
    """Say so on the log; for `core.tasks`."""
    structlog.get_logger().error("task.crashed", task=task, exc_info=error)
