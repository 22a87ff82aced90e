"""Numbers that Prometheus' client reads when it is asked."""

from gateway.telemetry.series import Counts, Distribution, Distributions


def test_a_counter_counts_for_each_set_of_labels() -> None:
    """In the order of the labels."""
    counts = Counts("gateway_things", "Things.", ["kind", "status"])

    counts.add(("a", 200))
    counts.add(("a", 200), 2)
    counts.add(("b", 404))

    samples = {tuple(sample.labels.values()): sample.value for sample in counts.collect().samples}
    assert samples == {("a", "200"): 3, ("b", "404"): 1}


def test_a_value_on_a_bound_is_below_it() -> None:
    """Prometheus' buckets are "at most"."""
    distribution = Distribution((1.0, 2.0))

    for value in (0.5, 1.0, 1.5, 2.0, 9.0):
        distribution.add(value)

    assert dict(distribution.buckets()) == {"1.0": 2, "2.0": 4, "+Inf": 5}
    assert distribution.total == 14.0


def test_a_histogram_has_buckets_count_and_sum_for_each_provider() -> None:
    """What Prometheus computes quantiles from."""
    seconds = Distributions("gateway_seconds", "Seconds.", (1, 2))

    seconds.of("groq").add(1.5)
    seconds.of("groq").add(0.5)
    seconds.of("demo").add(5)

    samples = {
        (sample.name, sample.labels["provider"], sample.labels.get("le")): sample.value
        for sample in seconds.collect().samples
    }
    assert samples[("gateway_seconds_bucket", "groq", "1.0")] == 1
    assert samples[("gateway_seconds_bucket", "groq", "+Inf")] == 2
    assert samples[("gateway_seconds_sum", "groq", None)] == 2.0
    assert samples[("gateway_seconds_count", "demo", None)] == 1


def test_a_histogram_is_made_once() -> None:
    """Otherwise it would count to one for ever."""
    seconds = Distributions("gateway_seconds", "Seconds.", (1,))

    assert seconds.of("groq") is seconds.of("groq")
