"""How often a process has read its configuration, for the metrics.

The rule here: the start counts as the first time.
"""

import msgspec


class ConfigNumbers(msgspec.Struct, frozen=True):
    """What came of reading gateway.yaml."""

    generation: int  # how many times it was read well
    failures: int  # how many times it had a mistake
    has_failed: bool  # the last time
