"""When those whom we turn away may come back.

The rule here: a time of our own is drawn, not fixed: those who were refused in the same moment must
not come back in the same moment. A time that a limit has reckoned is true, and not drawn.
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
    """The header that says when; between `at_least_s` and so much later, a second at least."""
    wait_s = draw(at_least_s, at_least_s + spread_s)
    return {"Retry-After": str(max(1, math.ceil(wait_s)))}
