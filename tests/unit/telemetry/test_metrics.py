"""Numbers that add up, and never more series than there are words."""

import pytest

from gateway.core.config_numbers import ConfigNumbers
from gateway.core.credential import CredentialStanding, CredentialState
from gateway.core.dialect import Dialect
from gateway.core.exchange import Exchange, Outcome
from gateway.core.log_numbers import LogNumbers
from gateway.core.usage import Usage
from gateway.telemetry.metrics import Metrics


def settle(metrics: Metrics, provider: str = "groq", **fields: object) -> None:
    """Count one exchange of two seconds."""
    exchange = Exchange("r1", 100.0, "POST", "/", "unix", (metrics.observe,))
    exchange.provider = provider
    exchange.dialect = Dialect.OPENAI
    exchange.status = 200
    for name, value in fields.items():
        setattr(exchange, name, value)
    exchange.settle(Outcome.FINISHED, at=102.0)


@pytest.fixture
def metrics() -> Metrics:
    """Of a registry with two providers."""
    return Metrics(["groq", "demo"], lambda: 7)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One number."""
    return metrics.registry.get_sample_value(name, labels)


def test_an_exchange_is_counted_by_provider_dialect_outcome_and_status(metrics: Metrics) -> None:
    """What an alert is written on."""
    settle(metrics)
    settle(metrics)

    labels = {"provider": "groq", "dialect": "openai", "outcome": "finished", "status": "200"}
    assert value(metrics, "gateway_exchanges_total", **labels) == 2


def test_tokens_are_counted_in_and_out(metrics: Metrics) -> None:
    """Nothing is counted where nobody has counted."""
    settle(metrics, usage=Usage(3, 5, "provider"))
    settle(metrics, usage=Usage(None, 5, "estimate"))
    settle(metrics)

    assert value(metrics, "gateway_tokens_total", provider="groq", direction="in") == 3
    assert value(metrics, "gateway_tokens_total", provider="groq", direction="out") == 10


def test_money_is_counted_where_it_is_known(metrics: Metrics) -> None:
    """I11: and where it is not, that is counted: nothing is free because nobody wrote a price."""
    settle(metrics, usage=Usage(3, 5, "provider"), spent_micros=70)
    settle(metrics, usage=Usage(3, 5, "provider"), spent_micros=0)
    settle(metrics, usage=Usage(3, 5, "provider"))
    settle(metrics)

    assert value(metrics, "gateway_cost_micros_total", provider="groq") == 70
    assert value(metrics, "gateway_unpriced_exchanges_total", provider="groq") == 1


def test_times_and_bytes_are_spread_over_buckets(metrics: Metrics) -> None:
    """The mean hides the slow ones."""
    settle(
        metrics,
        attempts=1,
        bytes_out=1_000,
        upstream_started_at=100.0004,
        first_content_at=100.3,
        first_relayed_at=100.3,
    )

    assert value(metrics, "gateway_duration_seconds_bucket", provider="groq", le="2.5") == 1
    assert value(metrics, "gateway_duration_seconds_bucket", provider="groq", le="1.0") == 0
    assert value(metrics, "gateway_first_content_seconds_sum", provider="groq") == pytest.approx(
        0.3
    )
    assert value(metrics, "gateway_added_seconds_bucket", provider="groq", le="0.0005") == 1
    assert value(metrics, "gateway_response_bytes_sum", provider="groq") == 1_000


def test_callers_cannot_make_series(metrics: Metrics) -> None:
    """A hundred thousand invented names would fill the memory of whoever scrapes."""
    for number in range(1_000):
        settle(metrics, f"invented-{number}", model=f"m{number}")
    settle(metrics, "")

    text = metrics.render().decode()
    assert "invented" not in text
    assert 'provider="other"' in text
    assert 'provider="none"' in text
    assert len(text.splitlines()) < 400


def test_a_name_that_was_not_found_is_another_than_none(metrics: Metrics) -> None:
    """Somebody asks for a provider that was taken out of the registry: that is worth a look."""
    settle(metrics, "", error_code="provider_not_found")
    settle(metrics, "", error_code="unauthenticated")

    assert value(metrics, "gateway_duration_seconds_count", provider="other") == 1
    assert value(metrics, "gateway_duration_seconds_count", provider="none") == 1


def test_what_is_in_flight_is_asked_when_somebody_looks(metrics: Metrics) -> None:
    """One counter for the gauge and for going down."""
    assert value(metrics, "gateway_exchanges_in_flight") == 7


def test_unused_connections_are_a_number(metrics: Metrics) -> None:
    """They have no line in the log."""
    metrics.count_unused_connection()

    assert value(metrics, "gateway_connections_without_request_total") == 1


def test_refusals_are_counted_by_rule(metrics: Metrics) -> None:
    """Rules are named in the configuration, so the series are bounded."""
    settle(metrics, refused_by="few")
    settle(metrics, refused_by="few", would_refuse=("tried", "too"))
    settle(metrics)

    name = "gateway_limit_refusals_total"
    assert value(metrics, name, rule="few", dry_run="false") == 2
    assert value(metrics, name, rule="tried", dry_run="true") == 1
    assert value(metrics, name, rule="too", dry_run="true") == 1


def test_places_are_asked_for_when_they_are_read(metrics: Metrics) -> None:
    """Whoever counts them has the true number already."""
    metrics.count_places = lambda: {"few": 3}

    assert value(metrics, "gateway_limit_places_taken", rule="few") == 3


def test_a_part_that_does_without_another_is_seen(metrics: Metrics) -> None:
    """J01: an outage that nobody feels is one that nobody mends."""

    class Part:
        is_degraded = True
        lost = 3

    metrics.watch("counters", Part())

    text = metrics.render().decode()
    assert 'gateway_degraded{component="counters"} 1.0' in text
    assert 'gateway_settlements_lost_total{component="counters"} 3.0' in text


def test_each_credential_has_its_load_and_exactly_one_state(metrics: Metrics) -> None:
    """An alert on `set_aside` is how a revoked credential is found."""
    metrics.list_credentials = lambda: (
        CredentialStanding("groq", "GROQ_A", CredentialState.OK, 3),
        CredentialStanding("groq", "GROQ_B", CredentialState.SET_ASIDE, 0),
    )

    a = {"provider": "groq", "credential_id": "GROQ_A"}
    b = {"provider": "groq", "credential_id": "GROQ_B"}
    assert value(metrics, "gateway_credential_in_flight", **a) == 3
    for labels, expected in ((a, "ok"), (b, "set_aside")):
        states = {
            state: value(metrics, "gateway_credential_state", **labels, state=state)
            for state in CredentialState
        }
        assert states == {state: float(state == expected) for state in CredentialState}


def test_what_the_log_does_not_say_is_counted(metrics: Metrics) -> None:
    """L05, K04: lines that are missing, and settings that are not those of the file."""
    assert value(metrics, "gateway_config_generation") == 1
    metrics.count_log = lambda: LogNumbers(1, 2, 3, 4)
    metrics.count_config = lambda: ConfigNumbers(5, 6, has_failed=True)

    counted = [
        value(metrics, f"gateway_log_{name}_total")
        for name in ("lines_dropped", "lines_sampled", "lines_withheld", "content_dropped")
    ]

    assert counted == [1, 2, 3, 4]
    assert value(metrics, "gateway_config_generation") == 5
    assert value(metrics, "gateway_config_reload_failed") == 1
