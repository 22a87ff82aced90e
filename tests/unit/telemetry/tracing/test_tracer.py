"""Which traces are begun, and which are recorded."""

import pytest

from gateway.config.tracing import TracingSpec
from gateway.telemetry.tracing.tracer import Tracer

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HIGH = "0" * 16 + "f" * 16  # not below any ratio but 1
LOW = "f" * 16 + "0" * 15 + "1"


def context(trace_id: str = TRACE_ID, flags: str = "01") -> list[tuple[str, str]]:
    """The headers of a caller in a trace."""
    return [("traceparent", f"00-{trace_id}-{SPAN_ID}-{flags}")]


def test_every_id_is_new_and_well_formed() -> None:
    """Two exchanges with one id would be one to whoever looks."""
    tracer = Tracer(TracingSpec())

    traces = [tracer.begin((), route="/") for _ in range(100)]

    ids = [one for trace in traces for one in (trace.span_id, trace.attempt_id, trace.draw_id())]
    assert len(set(ids)) == 300
    assert {len(one) for one in ids} == {16}
    assert len({trace.trace_id for trace in traces}) == 100
    assert {len(trace.trace_id) for trace in traces} == {32}


def test_a_callers_trace_is_joined() -> None:
    """It is the caller's span that the exchange is part of."""
    trace = Tracer(TracingSpec()).begin(context(), route="/v1")

    assert (trace.trace_id, trace.parent_id, trace.route) == (TRACE_ID, SPAN_ID, "/v1")
    assert trace.is_sampled


@pytest.mark.parametrize(
    ("ratio", "callers_decide", "headers", "is_sampled"),
    [
        (0, True, (), False),
        (1, True, (), True),
        (0, True, context(), True),
        (1, True, context(flags="00"), False),
        (0, False, context(), False),
        (1, False, context(flags="00"), True),
        (1, False, context(HIGH), True),
        (0.5, False, context(HIGH), False),
        (0.5, False, context(LOW), True),
    ],
)
def test_who_decides(
    *, ratio: float, callers_decide: bool, headers: list[tuple[str, str]], is_sampled: bool
) -> None:
    """The caller where they may, else the ratio, which everybody reckons from the same bits."""
    spec = TracingSpec(sample_ratio=ratio, callers_decide=callers_decide)

    assert Tracer(spec).begin(headers, route="").is_sampled == is_sampled


def test_a_ratio_is_kept_over_many() -> None:
    """Half of them are about half."""
    tracer = Tracer(TracingSpec(sample_ratio=0.5))

    sampled = sum(tracer.begin((), route="").is_sampled for _ in range(2000))

    assert 800 < sampled < 1200
