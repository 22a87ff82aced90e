"""Restoring credentials in all workers, whichever of them the admin reached.

The rule here: orders are written where the other workers read them, and each carries them out at
its next beat. A worker that starts later has nothing to do: its credentials all count as working.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from gateway.core.credential import CredentialStanding, CredentialState
from gateway.credentials.pools import Pools
from gateway.telemetry.board import Board

KEPT = 64  # how many orders are kept: as many as an admin may give between two beats


class Order(msgspec.Struct, frozen=True, array_like=True):
    """An order that one worker received."""

    number: int  # counts that worker's orders, from 1
    provider: str
    credential_id: str | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Order]).decode


class Restorer:
    """Restores credentials here, and tells the other workers to do the same."""

    def __init__(
        self, pools: Pools, list_all: Callable[[], Iterable[CredentialStanding]], worker: int = 0
    ) -> None:
        self._pools = pools
        self._list_all = list_all  # lists the credentials' states in all workers
        self._worker = worker
        self._board: Board | None = None
        self._orders: list[Order] = []
        self._read: dict[int, int] = {}  # by place: the number of the last writing that was read
        self._done: dict[int, int] = {}  # by place: the last of its orders that was carried out

    def join(self, board: Board) -> None:
        """Join the other workers; orders given before do not concern this one."""
        self._orders = _read(board, self._worker)
        for place in range(board.places):
            self._read[place] = board.number_of(place)
            self._done[place] = _last(_read(board, place))
        self._board = board

    def restore(self, provider: str, credential_id: str | None) -> list[str] | None:
        """Mark one or all of a provider's credentials as working in all workers.

        Returns the names of those that were not working in some worker; None if there is no such
        credential.
        """
        ill = [
            one.id
            for one in self._list_all()
            if one.provider == provider and one.state is not CredentialState.OK
            if credential_id is None or one.id == credential_id
        ]
        restored = self._pools.restore(provider, credential_id)
        if restored is None:
            return None
        if self._board is not None:
            order = Order(_last(self._orders) + 1, provider, credential_id)
            self._orders = [*self._orders, order][-KEPT:]
            self._board.write(self._worker, _encode(self._orders))
        return list(dict.fromkeys([*ill, *restored]))

    def look(self) -> None:
        """Carry out the orders that others received since the last time; called at every beat."""
        board = self._board
        if board is None:
            return
        for place, read in self._read.items():
            number = board.number_of(place)
            if place == self._worker or number == read:
                continue
            self._read[place] = number
            orders = _read(board, place)
            for order in orders:
                if order.number > self._done[place]:
                    self._pools.restore(order.provider, order.credential_id)
            self._done[place] = _last(orders)


def _read(board: Board, place: int) -> list[Order]:
    raw = board.read(place)
    return [] if raw is None else _decode(raw)


def _last(orders: Sequence[Order]) -> int:
    """The number of the last order; 0 if there is none."""
    return orders[-1].number if orders else 0
