"""What the supervisor of several workers knows of them, and tells whoever shows it.

The rule here: it takes no word of a worker. One that dies before it has said anything is counted
like every other, and missed.
"""

from collections.abc import Callable

import msgspec

from gateway.core.log_numbers import LogNumbers
from gateway.telemetry.board import Board
from gateway.telemetry.definitions import WORKER_DEATHS, WORKER_STARTS, WORKERS
from gateway.telemetry.metrics import WHOLE_LOG, count_lines
from gateway.telemetry.numbers import Numbers, is_known, lone, numbers_of

DOWN = "down"
STARTING = "starting"


class Account(msgspec.Struct, array_like=True):
    """What the supervisor says; it has the place on the board behind those of the workers."""

    numbers: list[Numbers] = []
    # Of each worker, as far as that does not say so itself; none where nobody looks after any.
    states: dict[str, str] = {}

    def states_beside(self, told: dict[str, str]) -> dict[str, str]:
        """The states of all workers, where these have told theirs."""
        return dict(sorted((self.states | told).items(), key=lambda pair: int(pair[0])))

    def numbers_beside(self, told: dict[str, str]) -> list[Numbers]:
        """Its numbers, and how many workers there are beside those who have told their states."""
        if not self.states:
            return self.numbers
        others = [state for worker, state in self.states.items() if worker not in told]
        counts = {DOWN: 0} | {state: others.count(state) for state in others}
        return [*self.numbers, numbers_of(WORKERS, (((s,), n) for s, n in counts.items()))]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Account).decode


class Supervision:
    """Counts what becomes of workers; each change can be read on the board at once.

    What its own log does not write is there when it publishes next, for which somebody has to call.
    """

    def __init__(
        self, board: Board, count_log: Callable[[], LogNumbers] = lambda: WHOLE_LOG
    ) -> None:
        self._board = board
        self._count_log = count_log
        self._starts = 0
        self._deaths = 0
        self._states = {str(place): STARTING for place in range(board.places)}
        self._written = b""

    def note_start(self, place: int) -> None:
        """Somebody new has the place."""
        self._starts += 1
        self._states[str(place)] = STARTING
        self.publish()

    def note_death(self, place: int) -> None:
        """Whoever had the place has ended, and should not have."""
        self._board.mark_gone(place)
        self._deaths += 1
        self._states[str(place)] = DOWN
        self.publish()

    def note_end(self, place: int) -> None:
        """Whoever had the place has ended as it was told to, and is not missed."""
        self._board.mark_gone(place)
        self._states.pop(str(place), None)
        self.publish()

    def publish(self) -> None:
        """Write down what there is to say, where that is new."""
        numbers = [
            lone(WORKER_STARTS, self._starts),
            lone(WORKER_DEATHS, self._deaths),
            *count_lines(self._count_log()),
        ]
        account = _encode(Account(numbers, self._states))
        if account != self._written and self._board.write(self._board.places, account):
            self._written = account


def read_account(board: Board) -> Account | None:
    """What the supervisor wrote last; None for nothing, or where its release writes otherwise."""
    raw = board.read(board.places)
    if raw is None:
        return None
    try:
        account = _decode(raw)
    except msgspec.DecodeError:
        return None
    account.numbers = [one for one in account.numbers if is_known(one)]
    return account
