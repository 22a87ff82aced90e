"""The environment without the credentials in it, for processes that get them another way.

The rule here: what a process is started with can be read for as long as it lives, by every process
of the same user, and by whoever gets a list of processes with their environments.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gateway.core.credential import Credential


@contextmanager
def hide_credentials(credentials: Iterable[Credential]) -> Iterator[None]:
    """Processes that are started meanwhile do not inherit variables with one of these in them."""
    secrets = {one.secret.get_secret_value() for one in credentials}
    hidden = {name: value for name, value in os.environ.items() if value.strip() in secrets}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
