"""Detecting a start that failed because this process may open no more files.

The rule here: the cause is searched along the whole exception chain, because the file may have been
needed by the event loop, a library or a late import.
"""

import errno
import resource
from collections.abc import Iterator

_SHORTAGES = (errno.EMFILE, errno.ENFILE)


class FileLimitError(Exception):
    """The limit of open files is too low to start."""


def find_shortage(error: BaseException) -> FileLimitError | None:
    """The error for whoever set the limit; None if there is another reason."""
    if not any(isinstance(one, OSError) and one.errno in _SHORTAGES for one in _causes_of(error)):
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FileLimitError(
        f"The limit of {limit} open files is too low to start with; each worker needs some, and "
        "each stream two. Raise it (`ulimit -n 65536`, or LimitNOFILE= in a systemd unit)."
    )


def _causes_of(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__
