"""What all workers of one gateway have in common.

The rule here: the supervisor opens it and each worker is handed it, so it outlives any of them.
"""

import socket
from collections.abc import Sequence

import msgspec

from gateway.config.settings import Settings
from gateway.server.sockets import close_sockets, open_sockets
from gateway.serving.reloading import Source
from gateway.telemetry.board import Board


class Shared(msgspec.Struct, frozen=True):
    """Two boards, and the admin listener: one queue, from which any of them takes who asks.

    (Sockets of their own would leave who asks in the queue of a worker that hangs.)
    """

    board: Board  # what each of them says of itself
    orders: Board  # what each of them was told that is for all
    admin: Sequence[socket.socket] = ()  # none where it is switched off
    source: Source = Source()  # where the settings are read anew

    def close(self) -> None:
        """Let go of it here."""
        close_sockets(self.admin)
        self.board.close()
        self.orders.close()


async def open_shared(settings: Settings) -> Shared:
    """Open it; ListenError when another program has the admin listener's port."""
    spec = settings.admin
    admin = await open_sockets(spec.host, spec.port) if spec.enabled else []
    workers = settings.server.workers
    return Shared(Board(workers), Board(workers), admin)
