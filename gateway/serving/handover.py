"""What a process is to do, on its way there.

The rule here: this file imports nothing of the gateway but what it begins with. Whatever is handed
over names most of the gateway, so it is read once somebody can say that all of it stays.
"""

import pickle
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

from typing_extensions import override

from gateway.core.collector import nothing_collected


class Handover:
    """A call for another process to make, sealed while that is started."""

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 - the function's own
        self._call = function, arguments
        self._sealed = b""

    @override
    def __getstate__(self) -> bytes:
        """Seal it; sockets and pipes know by now which process they go to."""
        return bytes(ForkingPickler.dumps(self._call))

    def __setstate__(self, sealed: bytes) -> None:
        """Take it as it is."""
        self._sealed = sealed

    def __call__(self) -> None:
        """Import what it takes without looking for garbage, and make the call."""
        with nothing_collected():
            # Let go of at once: there are credentials in it.
            sealed, self._sealed = self._sealed, b""
            function, arguments = pickle.loads(sealed)  # noqa: S301 - of our own parent
            del sealed
        function(*arguments)
