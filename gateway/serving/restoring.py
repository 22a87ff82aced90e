"""Restoring credentials in all workers, whichever of them an admin has reached.

The rule here: what is to be done is written down where the others read it, and each of them does it
at its next beat. One that starts later has nothing to do: it takes all credentials for well.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from gateway.core.credential import CredentialStanding, CredentialState
from gateway.credentials.pools import Pools
from gateway.telemetry.board import Board

KEPT = 64  # of the last orders: as many as an admin may give between two beats


class Order(msgspec.Struct, frozen=True, array_like=True):
    """What one worker was told."""

    number: int  # of that worker's orders, from 1
    provider: str
    credential_id: str | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Order]).decode


class Restorer:
    """Restores here, and has the others do the same."""

    def __init__(
        self, pools: Pools, list_all: Callable[[], Iterable[CredentialStanding]], worker: int = 0
    ) -> None:
        self._pools = pools
        self._list_all = list_all  # how they stand in all workers
        self._worker = worker
        self._board: Board | None = None
        self._orders: list[Order] = []
        self._read: dict[int, int] = {}  # by place: which writing was read last
        self._done: dict[int, int] = {}  # by place: the last order of it that was carried out

    def join(self, board: Board) -> None:
        """Be one of several from now on; what was ordered before is no business of this one's."""
        self._orders = _read(board, self._worker)
        for place in range(board.places):
            self._read[place] = board.number_of(place)
            self._done[place] = _last(_read(board, place))
        self._board = board

    def restore(self, provider: str, credential_id: str | None) -> list[str] | None:
        """Take a provider's credential for well in all workers, or all of them.

        The names of those that were not in any of them; None where there is no such one.
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
        """Do what the others were told since the last look; for every beat."""
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
    """The number of the last one; 0 where there is none."""
    return orders[-1].number if orders else 0
