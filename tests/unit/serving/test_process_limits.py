"""The limits of a process, each in a process of its own where they cannot be undone."""

import resource
import subprocess
import sys
from pathlib import Path

from gateway.serving.process_limits import DUMPED_MEMORY, raise_file_limit

ROOT = Path(__file__).parents[3]
SHOW = f"""
import resource
from gateway.serving.process_limits import forbid_core_dumps

forbid_core_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE))
try:
    print(int(open("{DUMPED_MEMORY}").read(), 16))
except OSError:
    print(0)
"""


def test_the_limit_of_open_files_is_raised() -> None:
    """The default of 1,024 is 500 streams."""
    raise_file_limit()

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard in {soft, resource.RLIM_INFINITY}


def test_a_crash_leaves_nothing_behind() -> None:
    """No dump of its own, and no memory for a program that takes dumps."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == ["(0, 0)", "0"]
