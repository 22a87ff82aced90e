"""When callers whom we refuse may come back.

The rule here: a time that we choose is random, because callers refused at the same moment must not
all come back at the same moment. A time computed by a limit is exact, and not randomised.
"""

import math
import random
from collections.abc import Callable, Mapping

Draw = Callable[[float, float], float]
"""A number between two others, by chance."""

SOON_S = 0.0
SPREAD_S = 4.0


def come_back(
    at_least_s: float = SOON_S, spread_s: float = SPREAD_S, draw: Draw = random.uniform
) -> Mapping[str, str]:
    """The `Retry-After` header: at least `at_least_s`, at most `spread_s` more, never under 1 s."""
    wait_s = draw(at_least_s, at_least_s + spread_s)
    return {"Retry-After": str(max(1, math.ceil(wait_s)))}
