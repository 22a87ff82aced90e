"""What is asked of the parts of the gateway when somebody looks."""

import sys

import pytest
from prometheus_client.metrics_core import GaugeMetricFamily

from gateway.config.registry import Provider
from gateway.core.breaker import BreakerStanding, BreakerState
from gateway.core.config_numbers import ConfigNumbers
from gateway.core.credential import CredentialStanding, CredentialState
from gateway.core.exchange import Exchange, Outcome
from gateway.core.ledger_numbers import LedgerNumbers
from gateway.core.log_numbers import LogNumbers
from gateway.core.pool_standing import PoolStanding
from gateway.telemetry.definitions import DEFINITIONS
from gateway.telemetry.metrics import Metrics, pick_known
from gateway.telemetry.numbers import Labels, Spread, Value


@pytest.fixture
def metrics() -> Metrics:
    """Of a registry with one provider."""
    groq = Provider(name="groq", base_url="https://api.example.org/v1")
    return Metrics({"groq": groq}, lambda: 7)


def values(metrics: Metrics, name: str) -> dict[Labels, Value]:
    """The values of one metric, by its labels."""
    return {key: value for one in metrics.read() if one.name == name for key, value in one.values}


def test_what_is_read_is_defined(metrics: Metrics) -> None:
    """The page is made from the definitions."""
    assert {one.name for one in metrics.read()} <= {one.name for one in DEFINITIONS}


def test_exchanges_are_among_it(metrics: Metrics) -> None:
    """An observer of exchanges."""
    Exchange("r1", 1.0, "GET", "/", "unix", (metrics.observe,)).settle(Outcome.FINISHED, at=2.0)

    assert values(metrics, "gateway_exchanges_total")


def test_what_is_in_flight_is_asked_when_somebody_looks(metrics: Metrics) -> None:
    """One counter for the gauge and for going down."""
    assert values(metrics, "gateway_exchanges_in_flight") == {(): 7}


def test_connections_are_counted_by_what_they_do(metrics: Metrics) -> None:
    """A pool that is full refuses, and that should be seen coming."""
    metrics.list_pools = lambda: [PoolStanding("groq", busy=3, idle=2, dialing=1, limit=10)]

    assert values(metrics, "gateway_upstream_in_flight") == {("groq",): 4}
    assert values(metrics, "gateway_upstream_connections") == {
        ("groq", "busy"): 3,
        ("groq", "idle"): 2,
        ("groq", "dialing"): 1,
    }
    assert values(metrics, "gateway_upstream_connections_limit") == {("groq",): 10}


def test_unused_connections_are_a_number(metrics: Metrics) -> None:
    """They have no line in the log."""
    metrics.count_unused_connection()

    assert values(metrics, "gateway_connections_without_request_total") == {(): 1}


def test_who_finds_no_place_is_a_number(metrics: Metrics) -> None:
    """Nothing else shows them: they are no exchanges, and half of the files are free."""
    metrics.count_turned_away()

    assert values(metrics, "gateway_connections_turned_away_total") == {(): 1}


def test_places_are_asked_for_when_they_are_read(metrics: Metrics) -> None:
    """Whoever counts them has the true number already."""
    metrics.count_places = lambda: {"few": 3}

    assert values(metrics, "gateway_limit_places_taken") == {("few",): 3}


def test_a_part_that_does_without_another_is_seen(metrics: Metrics) -> None:
    """J01: an outage that nobody feels is one that nobody mends."""

    class Part:
        is_degraded = True
        lost = 3

    metrics.watch("counters", Part())

    assert values(metrics, "gateway_degraded") == {("counters",): 1}
    assert values(metrics, "gateway_settlements_lost_total") == {("counters",): 3}


def test_each_credential_has_its_load_and_exactly_one_state(metrics: Metrics) -> None:
    """An alert on `set_aside` is how a revoked credential is found."""
    metrics.list_credentials = lambda: (
        CredentialStanding("groq", "GROQ_A", CredentialState.OK, 3),
        CredentialStanding("groq", "GROQ_B", CredentialState.SET_ASIDE, 0),
    )

    assert values(metrics, "gateway_credential_in_flight")["groq", "GROQ_A"] == 3
    states = values(metrics, "gateway_credential_state")
    assert len(states) == 2 * len(CredentialState)
    assert [key for key, value in states.items() if value] == [
        ("groq", "GROQ_A", "ok"),
        ("groq", "GROQ_B", "set_aside"),
    ]


def test_each_breaker_is_in_exactly_one_state(metrics: Metrics) -> None:
    """An open one is an outage of a provider."""
    metrics.list_breakers = lambda: [BreakerStanding("groq", BreakerState.OPEN)]

    assert values(metrics, "gateway_breaker_state") == {
        ("groq", "closed"): 0,
        ("groq", "open"): 1,
        ("groq", "half_open"): 0,
    }


def test_the_ledger_says_what_is_not_booked_yet(metrics: Metrics) -> None:
    """Each of these has an alert."""
    metrics.count_ledger = lambda: LedgerNumbers(5, 6, 7, is_store_down=True)

    assert values(metrics, "gateway_ledger_backlog_bytes") == {(): 5}
    assert values(metrics, "gateway_ledger_held") == {(): 6}
    assert values(metrics, "gateway_ledger_unwritten_total") == {(): 7}
    assert values(metrics, "gateway_ledger_store_down") == {(): 1}


def test_the_configuration_that_holds_is_numbered(metrics: Metrics) -> None:
    """K04: a refused one is found by the flag, not by reading logs."""
    metrics.count_config = lambda: ConfigNumbers(2, 1, has_failed=True)

    assert values(metrics, "gateway_config_generation") == {(): 2}
    assert values(metrics, "gateway_config_reload_failed") == {(): 1}


def test_lines_that_are_not_there_are_counted(metrics: Metrics) -> None:
    """A log with holes says so somewhere else."""
    metrics.count_log = lambda: LogNumbers(4, 3, 2, 1)

    assert values(metrics, "gateway_log_lines_dropped_total") == {(): 4}
    assert values(metrics, "gateway_log_lines_sampled_total") == {(): 3}
    assert values(metrics, "gateway_log_lines_withheld_total") == {(): 2}
    assert values(metrics, "gateway_log_content_dropped_total") == {(): 1}


def test_how_many_are_let_in_is_shown_where_somebody_decides_it(metrics: Metrics) -> None:
    """M02: a limit that falls is seen before anybody is refused."""
    assert values(metrics, "gateway_exchanges_limit") == {}

    metrics.read_limit = lambda: 80

    assert values(metrics, "gateway_exchanges_limit") == {(): 80}


def test_lag_and_what_was_added_are_spread(metrics: Metrics) -> None:
    """The mean hides the slow ones."""
    metrics.loop.note_lag(0.003, 1.0)
    metrics.note_added_gap(0.00002)

    for name, total in (
        ("gateway_event_loop_lag_seconds", 0.003),
        ("gateway_chunk_added_seconds", 0.00002),
    ):
        spread = values(metrics, name)[()]
        assert isinstance(spread, Spread)
        assert (sum(spread.counts), spread.total) == (1, total)
    assert values(metrics, "gateway_event_loop_lag_max_seconds") == {(): 0.003}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_the_process_shows_its_memory_and_files(metrics: Metrics) -> None:
    """What runs out first."""
    assert values(metrics, "process_resident_memory_bytes")[()] > 1_000_000
    assert values(metrics, "process_open_fds")[()] > 2
    assert values(metrics, "process_cpu_seconds_total")[()] > 0


def test_what_a_later_library_shows_of_the_process_is_left_out() -> None:
    """It is named nowhere here, and must not take all other numbers with it."""
    families = [
        GaugeMetricFamily("process_open_fds", "Files.", 3),
        GaugeMetricFamily("process_threads", "Threads.", 4),
    ]

    assert [one.name for one in pick_known(families)] == ["process_open_fds"]
