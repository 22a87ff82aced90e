"""Passing a call to another process that is being started.

The rule here: this file imports almost nothing of the gateway. Unpickling the call imports most of
the gateway, so it happens only inside `nothing_collected`.
"""

import pickle
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

from typing_extensions import override

from gateway.core.collector import nothing_collected


class Handover:
    """A call for another process, kept pickled while that process starts."""

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 - the function's own
        self._call = function, arguments
        self._sealed = b""

    @override
    def __getstate__(self) -> bytes:
        """Pickle it; by now sockets and pipes know which process they go to."""
        return bytes(ForkingPickler.dumps(self._call))

    def __setstate__(self, sealed: bytes) -> None:
        """Keep the bytes as they are."""
        self._sealed = sealed

    def __call__(self) -> None:
        """Unpickle the call without garbage collection, and make it."""
        with nothing_collected():
            # Dropped at once, because it contains credentials.
            sealed, self._sealed = self._sealed, b""
            function, arguments = pickle.loads(sealed)  # noqa: S301 - of our own parent
            del sealed
        function(*arguments)
