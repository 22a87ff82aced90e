"""Limits of the whole process: how many files it may open, and what a crash leaves behind.

The rule here: they are set once, before anything is opened and before workers, which inherit them,
are started.
"""

import contextlib
import resource
from pathlib import Path

MAX_OPEN_FILES = 1_048_576  # used if the hard limit is "unlimited", which macOS itself refuses
DUMPED_MEMORY = Path("/proc/self/coredump_filter")  # core(5)


def raise_file_limit() -> None:
    """Raise the limit of open files as far as the system allows: a stream needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else hard
    if wanted <= soft:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return  # the old limit must do


def forbid_core_dumps() -> None:
    """Write no core dump in a crash, as the memory holds credentials and prompts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The kernel ignores that limit if it pipes dumps to a program; this leaves nothing to dump.
    with contextlib.suppress(OSError):  # the file exists only on Linux with /proc
        DUMPED_MEMORY.write_text("0")
