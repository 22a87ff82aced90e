"""How often a process has read its configuration, for the metrics.

The rule here: the start counts as the first time.
"""

import msgspec


class ConfigNumbers(msgspec.Struct, frozen=True):
    """How often gateway.yaml was read, and with which result."""

    generation: int  # how many times it was read successfully
    failures: int  # how many times it had a mistake
    has_failed: bool  # whether it had one the last time
