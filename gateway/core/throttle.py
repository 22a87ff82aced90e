"""How often somebody may do something: so often a minute, a minute's worth at once.

The rule here: memory is bounded. Whoever is forgotten may begin anew, and who is forgotten first
has been quiet for the longest time.
"""

import math

from gateway.core.clock import Clock

MINUTE_S = 60.0
NAMES_MAX = 10_000
EARLY_S = 1e-6  # a float's last digits


class Throttle:
    """Counts by name; GCRA, so a burst of a minute's worth and then evenly."""

    def __init__(self, clock: Clock, per_minute: int, names_max: int = NAMES_MAX) -> None:
        self._clock = clock
        self._interval_s = MINUTE_S / per_minute
        self._names_max = names_max
        # When each would have done all that they did, had they done it evenly.
        self._paid_until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._paid_until)

    def wait_s(self, name: str) -> int:
        """How long they have to wait, in whole seconds; 0 when they need not."""
        if not self._paid_until:
            return 0
        paid_until = self._paid_until.get(name, 0.0)
        ahead_s = paid_until + self._interval_s - self._clock() - MINUTE_S
        return math.ceil(ahead_s) if ahead_s > EARLY_S else 0

    def count(self, name: str) -> None:
        """They have done it once more."""
        now = self._clock()
        paid_until = max(self._paid_until.pop(name, now), now) + self._interval_s
        if len(self._paid_until) >= self._names_max:
            del self._paid_until[next(iter(self._paid_until))]
        self._paid_until[name] = paid_until
