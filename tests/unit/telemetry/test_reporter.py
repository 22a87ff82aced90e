"""All workers' numbers, whichever of them is asked."""

from collections.abc import Iterator

import pytest

from gateway.config.registry import Provider
from gateway.core.breaker import BreakerStanding, BreakerState
from gateway.core.credential import CredentialStanding, CredentialState
from gateway.core.exchange import Exchange, Outcome
from gateway.telemetry.board import Board
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.model_names import FREE_PER_PROVIDER
from gateway.telemetry.reporter import Reporter
from gateway.telemetry.supervision import Supervision
from tests.plugins.bookings import files_grow, no_file_grows
from tests.plugins.chain import LogLines

COUNTED = "gateway_connections_without_request_total"


class Worker:
    """One worker of a gateway."""

    def __init__(self, place: int, board: Board | None) -> None:
        url = "https://api.example.org/v1"
        self.state = "ready"
        self.now = 1_000.0
        self.metrics = Metrics({"groq": Provider(name="groq", base_url=url)}, lambda: 2)
        self.metrics.list_credentials = lambda: [
            CredentialStanding("groq", "GROQ", CredentialState.OK, place)
        ]
        state = BreakerState.OPEN if place else BreakerState.CLOSED
        self.metrics.list_breakers = lambda: [BreakerStanding("groq", state)]
        self.reporter = Reporter(self.metrics, lambda: self.state, place, clock=lambda: self.now)
        if board is not None:
            self.reporter.join(board)

    def shown(self, name: str) -> dict[str, float]:
        """What is shown of one metric, by its labels."""
        lines = self.reporter.render().decode().splitlines()
        own = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        found = (line.rpartition(" ") for line in own)
        return {key.removeprefix(name): float(value) for key, _, value in found}


@pytest.fixture
def board() -> Iterator[Board]:
    """For two workers."""
    made = Board(2)
    yield made
    made.close()


def test_one_process_shows_what_it_counts() -> None:
    """Without others there is nobody to ask."""
    worker = Worker(0, None)
    exchange = Exchange("r1", 1.0, "GET", "/", "unix", (worker.metrics.observe,))
    exchange.settle(Outcome.FINISHED, at=2.0)

    labels = '{provider="none",model="none",dialect="text",outcome="finished",status="0"}'
    assert worker.shown("gateway_exchanges_total") == {labels: 1}
    assert worker.shown("gateway_workers") == {'{state="ready"}': 1}
    assert worker.shown("gateway_worker_starts_total") == {"": 1}
    assert worker.shown("gateway_worker_deaths_total") == {"": 0}
    assert worker.reporter.states() == {"0": "ready"}


def test_the_only_one_tells_its_health_without_counting() -> None:
    """Probes come each second, and files of the kernel are read for the numbers."""
    worker = Worker(0, None)
    counted: list[str] = []
    worker.metrics.count_spans = lambda: counted.append("spans") or {}

    assert worker.reporter.states() == {"0": "ready"}
    assert [one.provider for one in worker.reporter.list_credentials()] == ["groq"]
    assert [one.provider for one in worker.reporter.list_breakers()] == ["groq"]
    assert counted == []
    worker.reporter.render()
    assert counted == ["spans"]


def test_each_worker_shows_the_sum(board: Board) -> None:
    """A scrape reaches any of them."""
    first, second = Worker(0, board), Worker(1, board)
    first.metrics.count_unused_connection()
    second.metrics.count_unused_connection()
    second.reporter.publish()

    assert first.shown(COUNTED) == {"": 2}
    assert second.shown(COUNTED) == {"": 2}
    assert first.shown("gateway_exchanges_in_flight") == {"": 4}
    assert first.shown("gateway_worker_silent_seconds").keys() == {'{worker="0"}', '{worker="1"}'}


def test_what_one_has_shown_the_other_does_not_take_back(board: Board) -> None:
    """A counter that falls looks like a restart, and makes a spike in every rate."""
    first, second = Worker(0, board), Worker(1, board)
    second.reporter.publish()
    first.metrics.count_unused_connection()

    assert first.shown(COUNTED) == {"": 1}
    assert second.shown(COUNTED) == {"": 1}


def test_the_dead_stay_counted_and_hold_nothing(board: Board) -> None:
    """K02: also when somebody else has their place."""
    first, second = Worker(0, board), Worker(1, board)
    second.metrics.count_unused_connection()
    second.reporter.publish()

    board.mark_gone(1)
    assert first.shown(COUNTED) == {"": 1}
    assert first.shown("gateway_exchanges_in_flight") == {"": 2}
    assert first.reporter.states() == {"0": "ready"}
    assert [one.workers for one in first.reporter.list_credentials()] == [{}]

    second = Worker(1, board)
    second.metrics.count_unused_connection()
    second.reporter.publish()
    assert first.shown(COUNTED) == {"": 2}
    assert first.shown("gateway_exchanges_in_flight") == {"": 4}


def test_deaths_are_counted_and_a_new_beginning_is_none(board: Board) -> None:
    """Starts alone do not tell a gateway that was started anew from one whose workers die."""
    supervision = Supervision(board)
    supervision.note_start(0)
    supervision.note_start(1)
    first, second = Worker(0, board), Worker(1, board)
    assert first.shown("gateway_worker_deaths_total") == {"": 0}

    for deaths in (1, 2):
        supervision.note_death(1)
        assert first.shown("gateway_worker_deaths_total") == {"": deaths}
        supervision.note_start(1)
        second = Worker(1, board)
        assert second.shown("gateway_worker_deaths_total") == {"": deaths}

    assert second.shown("gateway_worker_starts_total") == {"": 4}


def test_whoever_is_not_there_is_missed(board: Board) -> None:
    """K03: it may never get as far as a word of its own; and the supervisor answers nobody."""
    supervision = Supervision(board)
    supervision.note_start(0)
    first = Worker(0, board)
    ready, starting = '{state="ready"}', '{state="starting"}'
    down = '{state="down"}'
    assert first.reporter.states() == {"0": "ready", "1": "starting"}
    assert first.shown("gateway_workers") == {ready: 1, down: 0, starting: 1}

    supervision.note_start(1)
    supervision.note_death(1)
    assert first.reporter.states() == {"0": "ready", "1": "down"}
    assert first.shown("gateway_workers") == {ready: 1, down: 1}

    supervision.note_start(1)
    assert first.reporter.states() == {"0": "ready", "1": "starting"}
    second = Worker(1, board)
    assert first.reporter.states() == {"0": "ready", "1": "ready"}
    assert first.shown("gateway_workers") == {ready: 2, down: 0}

    second.state = "stopping"
    second.reporter.publish()
    supervision.note_end(1)
    assert first.reporter.states() == {"0": "ready"}


def test_a_successor_of_a_successor_counts_all(board: Board) -> None:
    """It dies again and again."""
    for _ in range(3):
        worker = Worker(0, board)
        worker.metrics.count_unused_connection()
        worker.reporter.publish()
        board.mark_gone(0)

    assert Worker(1, board).shown(COUNTED) == {"": 3}


def test_the_words_and_credentials_of_all_are_there(board: Board) -> None:
    """What one worker knows is not what all know."""
    first, second = Worker(0, board), Worker(1, board)
    second.state = "starting"
    second.reporter.publish()

    assert first.reporter.states() == {"0": "ready", "1": "starting"}
    [credential] = first.reporter.list_credentials()
    assert (credential.in_flight, list(credential.workers)) == (1, ["0", "1"])
    assert first.reporter.list_breakers() == [BreakerStanding("groq", BreakerState.OPEN)]


def test_what_cannot_be_read_is_left_out(board: Board) -> None:
    """A worker of another release must not take the numbers of all others away."""
    board.write(1, b"\x93\x01\x02\x03")
    board.write(2, b"\x93\x01\x02\x03")  # the supervisor's place
    first = Worker(0, board)
    first.metrics.count_unused_connection()

    assert first.shown(COUNTED) == {"": 1}
    assert first.reporter.states() == {"0": "ready"}
    assert Worker(1, board).shown(COUNTED) == {"": 1}


def test_a_worker_that_does_not_come_round_shows_in_the_others(board: Board) -> None:
    """It cannot say so itself."""
    first, second = Worker(0, board), Worker(1, board)
    second.metrics.loop.beat_at = 990.0
    second.reporter.publish()

    assert first.shown("gateway_worker_silent_seconds")['{worker="1"}'] == 9.5


def test_a_worker_that_starts_or_has_stopped_does_not_hang(board: Board) -> None:
    """It may wait for a database for a while, and nobody is to be woken for that."""
    first, second = Worker(0, board), Worker(1, board)
    second.metrics.loop.beat_at = 0.0
    second.reporter.publish()
    first.now += 20

    assert set(first.shown("gateway_worker_silent_seconds").values()) == {0}


def test_names_of_models_do_not_grow_with_every_death(board: Board) -> None:
    """L03: a provider may answer for any name, and what the dead have counted stays."""
    models = 0
    for life in range(4):
        worker = Worker(0, board)
        for number in range(FREE_PER_PROVIDER):
            exchange = Exchange("r1", 1.0, "POST", "/", "unix", (worker.metrics.observe,))
            exchange.provider, exchange.model = "groq", f"model-{life}-{number}"
            exchange.status, exchange.first_content_at = 200, 1.5
            exchange.settle(Outcome.FINISHED, at=2.0)
        worker.reporter.publish()
        board.mark_gone(0)
        models = len(worker.shown("gateway_exchanges_total"))

    assert models == FREE_PER_PROVIDER + 1
    assert sum(worker.shown("gateway_exchanges_total").values()) == 4 * FREE_PER_PROVIDER


def test_numbers_that_cannot_be_shared_are_said_once(board: Board, log_lines: LogLines) -> None:
    """The others show the ones before, which nobody would suspect of being old."""
    first = Worker(0, board)
    first.reporter.publish()

    no_file_grows()
    try:
        for _ in range(3):
            first.reporter.publish()
    finally:
        files_grow()

    (line,) = log_lines.find("metrics.not_shared")
    assert (line["level"], line["worker"]) == ("error", 0)
    first.reporter.publish()
    no_file_grows()
    try:
        first.reporter.publish()
    finally:
        files_grow()
    assert len(log_lines.find("metrics.not_shared")) == 2
