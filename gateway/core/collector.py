"""Python's garbage collector, where a process imports nearly all that it will ever need.

The rule here: this file imports nothing but the standard library's smallest parts.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Look for no garbage meanwhile, and never among what there is by the end.

    Nearly all of the hundreds of modules that come along stays. Looking through it again and again
    takes a sixth of the time until the gateway listens; what would be found is 0.7 of 70 MB.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
