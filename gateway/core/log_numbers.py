"""What the log of a process has not written, for the metrics.

The rule here: lines are counted where they are let go, so that none is missing in silence.
"""

import msgspec


class LogNumbers(msgspec.Struct, frozen=True):
    """Lines that were not written, since the start."""

    dropped: int  # nobody took them
    sampled: int  # `logging.events` leaves them out
    withheld: int  # the same came too often
    content_dropped: int = 0  # of the stream with what was said
