"""Open files for tests that hold thousands of connections.

The rule here: as many as the system gives; a test that needs more than that is skipped.
"""

import resource

import pytest

from gateway.serving.process_limits import raise_file_limit


def need_files(count: int) -> None:
    """Let this process open so many files, or skip the test."""
    raise_file_limit()
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < count:
        pytest.skip(f"{count} open files are needed; the limit is {limit}")
