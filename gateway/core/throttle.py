"""How often somebody may do something: a number per minute, which may also come all at once.

The rule here: memory is limited. A name that is forgotten starts over, and the one that was quiet
for longest is forgotten first.
"""

import math

from gateway.core.clock import Clock

MINUTE_S = 60.0
NAMES_MAX = 10_000
EARLY_S = 1e-6  # float rounding errors


class Throttle:
    """Counts by name with GCRA: a burst of a minute's worth, then an even rate."""

    def __init__(self, clock: Clock, per_minute: int, names_max: int = NAMES_MAX) -> None:
        self._clock = clock
        self._interval_s = MINUTE_S / per_minute
        self._names_max = names_max
        # When each would have finished, had they done everything at an even rate.
        self._paid_until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._paid_until)

    def wait_s(self, name: str) -> int:
        """How long they have to wait, in whole seconds; 0 if not at all."""
        if not self._paid_until:
            return 0
        paid_until = self._paid_until.get(name, 0.0)
        ahead_s = paid_until + self._interval_s - self._clock() - MINUTE_S
        return math.ceil(ahead_s) if ahead_s > EARLY_S else 0

    def count(self, name: str) -> None:
        """Count that they did it once more."""
        now = self._clock()
        paid_until = max(self._paid_until.pop(name, now), now) + self._interval_s
        if len(self._paid_until) >= self._names_max:
            del self._paid_until[next(iter(self._paid_until))]
        self._paid_until[name] = paid_until
