"""How many log lines a process has not written, for the metrics.

The rule here: lines are counted where they are dropped, so that none goes missing silently.
"""

import msgspec


class LogNumbers(msgspec.Struct, frozen=True):
    """Lines not written since the start."""

    dropped: int  # could not be written
    sampled: int  # left out by `logging.events`
    withheld: int  # repeated too often
    content_dropped: int = 0  # dropped lines of the content log
