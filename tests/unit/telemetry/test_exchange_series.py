"""Every settled exchange, in numbers that add up."""

import pytest

from gateway.config.registry import Model, Provider
from gateway.core.dialect import Dialect
from gateway.core.exchange import Exchange, Outcome
from gateway.core.usage import Usage
from gateway.telemetry.exchange_series import ExchangeSeries
from gateway.telemetry.numbers import Labels, Spread, Value


@pytest.fixture
def series() -> ExchangeSeries:
    """Of a registry with two providers."""
    url = "https://api.example.org/v1"
    groq = Provider(name="groq", base_url=url, models=(Model(id="llama"),))
    return ExchangeSeries({"groq": groq, "demo": Provider(name="demo", base_url=url)})


def settle(series: ExchangeSeries, provider: str = "groq", **fields: object) -> None:
    """Count one exchange of two seconds."""
    exchange = Exchange("r1", 100.0, "POST", "/", "unix", (series.observe,))
    exchange.provider, exchange.model = provider, "llama" if provider else ""
    exchange.dialect = Dialect.OPENAI
    exchange.status = 200
    for name, value in fields.items():
        setattr(exchange, name, value)
    exchange.settle(Outcome.FINISHED, at=102.0)


def values(series: ExchangeSeries, name: str) -> dict[Labels, Value]:
    """The values of one metric, by its labels."""
    return {key: value for one in series.read() if one.name == name for key, value in one.values}


def spread(series: ExchangeSeries, name: str, provider: str = "groq") -> tuple[int, float]:
    """Of a histogram: how many values, and their sum."""
    found = values(series, name)[provider,]
    assert isinstance(found, Spread)
    return sum(found.counts), found.total


def test_an_exchange_is_counted_by_what_an_alert_is_written_on(series: ExchangeSeries) -> None:
    """Provider, model, dialect, outcome and status."""
    settle(series)
    settle(series)
    settle(series, "", status=401, error_code="unauthenticated")

    assert values(series, "gateway_exchanges_total") == {
        ("groq", "llama", "openai", "finished", "200"): 2,
        ("none", "none", "openai", "finished", "401"): 1,
    }


def test_a_status_that_nobody_knows_is_counted_by_its_hundred(series: ExchangeSeries) -> None:
    """L03: a provider may send any."""
    for status in (499, 529, 444, 599, 0):
        settle(series, status=status)

    found = [key[-1] for key in values(series, "gateway_exchanges_total")]
    assert found == ["499", "529", "4xx", "5xx", "0"]


def test_tokens_are_counted_by_provider_and_model(series: ExchangeSeries) -> None:
    """Nothing is counted where nobody has counted."""
    settle(series, usage=Usage(3, 5, "provider", 2, 4))
    settle(series, usage=Usage(None, 5, "estimate"))
    settle(series)

    assert values(series, "gateway_tokens_total") == {
        ("groq", "llama", "in"): 3,
        ("groq", "llama", "out"): 10,
    }
    assert values(series, "gateway_tokens_cached_total") == {("groq", "llama"): 2}
    assert values(series, "gateway_tokens_reasoning_total") == {("groq", "llama"): 4}


def test_money_is_counted_where_it_is_known(series: ExchangeSeries) -> None:
    """I11: and where it is not, that is counted: nothing is free because nobody wrote a price."""
    settle(series, usage=Usage(3, 5, "provider"), spent_micros=70)
    settle(series, usage=Usage(3, 5, "provider"), spent_micros=0)
    settle(series, usage=Usage(3, 5, "provider"))
    settle(series)

    assert values(series, "gateway_cost_micros_total") == {("groq", "llama"): 70}
    assert values(series, "gateway_unpriced_exchanges_total") == {("groq", "llama"): 1}


def test_the_time_until_the_first_content_is_told_apart(series: ExchangeSeries) -> None:
    """Who is slow, the provider or the gateway, is the first question of a bad night."""
    settle(
        series,
        stream=True,
        attempts=1,
        started_at=99.5,
        waited_s=0.5,
        upstream_started_at=100.01,
        first_content_at=100.31,
        first_relayed_at=100.33,
        upstream_ended_at=101.51,
        held_back_s=0.5,
        bytes_out=1_000,
    )

    assert spread(series, "gateway_first_content_seconds") == (1, pytest.approx(0.81))
    assert spread(series, "gateway_upstream_first_content_seconds") == (1, pytest.approx(0.3))
    assert spread(series, "gateway_added_seconds") == (1, pytest.approx(0.03))
    assert spread(series, "gateway_duration_seconds") == (1, 2.5)
    assert spread(series, "gateway_upstream_duration_seconds") == (1, pytest.approx(1.0))
    assert spread(series, "gateway_response_bytes") == (1, 1_000)


def test_a_whole_reply_has_no_first_content(series: ExchangeSeries) -> None:
    """It takes as long as all of it: a provider would look as if it began late."""
    settle(series, attempts=1, upstream_started_at=100.01, first_content_at=101.0)

    assert values(series, "gateway_first_content_seconds") == {}
    assert values(series, "gateway_upstream_first_content_seconds") == {}
    assert spread(series, "gateway_added_seconds") == (1, pytest.approx(0.01))


def test_waits_and_content_without_a_time_add_nothing(series: ExchangeSeries) -> None:
    """A provider that answers at once is not slower for what the gateway held back."""
    settle(series, attempts=1, upstream_started_at=100.0, upstream_ended_at=100.25)
    settle(
        series,
        attempts=1,
        upstream_started_at=100.0,
        upstream_ended_at=100.25,
        held_back_s=0.5,
    )
    settle(series, attempts=0, upstream_ended_at=100.25)

    assert spread(series, "gateway_upstream_duration_seconds") == (2, 0.25)


def test_gaps_are_the_mean_and_the_longest_of_a_stream(series: ExchangeSeries) -> None:
    """One number for each stream: a chunk costs nothing for it."""
    stream = {
        "upstream_started_at": 100.0,
        "first_content_at": 100.5,
        "attempts": 1,
        "stream": True,
    }
    settle(series, **stream, chunks=5, last_content_at=101.75, longest_gap_s=0.7, held_back_s=0.25)
    settle(series, **stream, chunks=1, last_content_at=100.5)
    settle(series, **stream)

    assert spread(series, "gateway_chunk_gap_seconds") == (1, 0.25)
    settle(series, **stream, chunks=1, last_content_at=100.5, longest_gap_s=30.0)
    assert spread(series, "gateway_chunk_gap_longest_seconds") == (2, 30.7)


def test_attempts_are_more_than_exchanges_where_something_was_tried_again(
    series: ExchangeSeries,
) -> None:
    """A storm of retries shows here first."""
    settle(series, attempts=3)
    settle(series, attempts=1)
    settle(series, attempts=0)

    assert values(series, "gateway_attempts_total") == {("groq",): 4}


def test_failures_and_stalls_say_whose_they_are(series: ExchangeSeries) -> None:
    """A caller's slow line is no reason to call the provider."""
    for code in ("client_stalled", "upstream_idle_timeout", "upstream_cut"):
        settle(series, error_code=code)

    found = values(series, "gateway_failures_total").items()
    assert {labels: value for labels, value in found if value} == {
        ("groq", "client_stalled"): 1,
        ("groq", "upstream_idle_timeout"): 1,
        ("groq", "upstream_cut"): 1,
    }
    assert values(series, "gateway_stalls_total") == {
        ("groq", "caller"): 1,
        ("groq", "provider"): 1,
    }


def test_the_first_mistake_is_an_increase(series: ExchangeSeries) -> None:
    """Of a series that begins at 1 Prometheus' `increase` is 0, and no alert is raised."""
    mistakes = ("internal_error", "plugin_error")  # ours, and those of a middleware

    before = values(series, "gateway_failures_total")
    for code in mistakes:
        settle(series, "", error_code=code)
    after = values(series, "gateway_failures_total")

    names = ("groq", "demo", "none", "other")
    assert before == {(name, code): 0 for name in names for code in mistakes}
    assert after == {**before, **{("none", code): 1 for code in mistakes}}


def test_refusals_are_counted_by_rule(series: ExchangeSeries) -> None:
    """Rules are named in the configuration, so the series are bounded."""
    settle(series, refused_by="few")
    settle(series, refused_by="few", would_refuse=("tried", "too"))
    settle(series)

    assert values(series, "gateway_limit_refusals_total") == {
        ("few", "false"): 2,
        ("tried", "true"): 1,
        ("too", "true"): 1,
    }
