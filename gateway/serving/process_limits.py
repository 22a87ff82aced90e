"""What a whole process may do: how many files it may open, and what a crash leaves behind.

The rule here: set once, before anything is opened and before workers are started, who inherit it.
"""

import contextlib
import resource
from pathlib import Path

MAX_OPEN_FILES = 1_048_576  # where the hard limit is "unlimited", macOS refuses that itself
DUMPED_MEMORY = Path("/proc/self/coredump_filter")  # core(5)


def raise_file_limit() -> None:
    """Take as many open files as the system gives: a stream needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else hard
    if wanted <= soft:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return  # what there was before has to do


def forbid_core_dumps() -> None:
    """Leave nothing of the memory behind in a crash: it holds credentials, and what people ask."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The kernel asks for no limit where a program takes the dumps; this leaves it nothing to take.
    with contextlib.suppress(OSError):  # there is none outside Linux, and nowhere without /proc
        DUMPED_MEMORY.write_text("0")
