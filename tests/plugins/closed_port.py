"""A port at which nobody answers.

The rule here: it is bound and not listened on, so that nobody else is given it meanwhile. The port
of a server that was stopped may be another test's in the next moment.
"""

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
