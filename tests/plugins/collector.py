"""Python's garbage collector looks at what tests make, and not at the suite itself.

The rule here: what has been imported and collected is frozen once, before the first test. A fault
test collects at its end, so that what was never awaited says so. With seven thousand tests in the
heap that took 0.35 s each time, and 0.02 s without.
"""

import gc


def pytest_collection_finish() -> None:
    """Freeze the modules, the tests and what pytest knows about them."""
    gc.collect()
    gc.freeze()
