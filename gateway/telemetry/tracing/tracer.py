"""Begins the trace of an exchange: its ids, and whether it is recorded.

The rule here: the same trace is recorded by everybody along the way or by nobody, so the choice
depends on the trace's id alone, unless the caller has made it.
"""

import random
from collections.abc import Iterable

from gateway.config.tracing import TracingSpec
from gateway.core.trace import Trace
from gateway.wire.headers import Header
from gateway.wire.trace_context import read_context

_IDS = 2**64
_LOW_BITS = _IDS - 1


class Tracer:
    """Begins traces; one for each process, or two would draw the same ids."""

    def __init__(self, spec: TracingSpec) -> None:
        # Seeded by the system. An id is a name and no secret.
        self._draw_bits = random.Random().getrandbits  # noqa: S311 - see above
        # As OpenTelemetry's TraceIdRatioBased: two with the same ratio choose the same traces.
        self._bound = round(spec.sample_ratio * _IDS)
        self._callers_decide = spec.callers_decide
        self._told = None if spec.propagate_to is None else frozenset(spec.propagate_to)

    def begin(self, headers: Iterable[Header], *, route: str) -> Trace:
        """The trace of a request with these headers; () for one without a context."""
        context = read_context(headers) if headers else None
        draw = self._draw_span_id
        if context is None:
            trace_id = self._draw_bits(128) or 1
            is_sampled = self._choose(trace_id)
            return Trace(
                f"{trace_id:032x}", draw(), is_sampled, draw, draw(), told=self._told, route=route
            )
        is_sampled = (
            context.is_sampled if self._callers_decide else self._choose(int(context.trace_id, 16))
        )
        return Trace(
            context.trace_id,
            draw(),
            is_sampled,
            draw,
            draw(),
            parent_id=context.parent_id,
            state=context.state,
            is_random=context.is_random,
            told=self._told,
            route=route,
        )

    def _choose(self, trace_id: int) -> bool:
        return trace_id & _LOW_BITS < self._bound

    def _draw_span_id(self) -> str:
        return f"{self._draw_bits(64) or 1:016x}"
