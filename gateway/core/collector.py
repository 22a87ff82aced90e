"""Python's garbage collector while a process imports nearly everything it will ever need.

The rule here: this file imports only the smallest parts of the standard library.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Collect no garbage in this context, and never examine what exists at its end.

    Nearly everything in the hundreds of imported modules stays. Scanning it again and again takes a
    sixth of the time until the gateway listens, and would free only 0.7 of 70 MB.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
