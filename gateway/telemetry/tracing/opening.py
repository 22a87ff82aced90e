"""From the settings to tracing that runs.

The rule here: the package of the extra `[otel]` is imported where there is tracing, and nowhere
else.
"""

import os
import ssl
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from gateway import __version__
from gateway.config.tracing import TracingSpec
from gateway.core.exchange import Exchange
from gateway.core.extras import line_that_installs
from gateway.core.tasks import ReportCrash, Tasks
from gateway.telemetry.cleaning import Cleaner
from gateway.telemetry.tracing.exporter import Exporter
from gateway.telemetry.tracing.tracer import Tracer


class TracingError(ValueError):
    """Traces cannot be sent as `tracing` says."""


class UnknownProviderError(TracingError):
    """`tracing.propagate_to` names a provider that there is not."""


class Tracing:
    """What begins traces, and what tells the collector of them."""

    def __init__(self, spec: TracingSpec, secrets: Sequence[str]) -> None:
        try:
            # It takes 0.1 s to import, and is in an extra.
            from gateway.telemetry.tracing import spans  # noqa: PLC0415 - see above
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in {
                "opentelemetry",
                "google",
            }:
                raise
            raise TracingError(
                f"tracing needs the package opentelemetry-proto: {line_that_installs('otel')}"
            ) from None
        self.tracer = Tracer(spec)
        self._spec = spec
        self._writer = spans.SpanWriter(Cleaner(secrets))
        put_around = spans.Envelope(_describe(spec)).put_around
        try:
            self.exporter = Exporter(spec, put_around, spans.count_refused)
        except ssl.SSLError:
            raise TracingError(
                f"tracing.ca_file, {spec.ca_file}: there is no certificate in it"
            ) from None
        except OSError as error:
            raise TracingError(f"tracing.ca_file, {spec.ca_file}: {error.strerror}") from None

    def observe(self, exchange: Exchange) -> None:
        """Have the collector told of one settled exchange; an observer."""
        trace = exchange.trace
        if trace is not None and trace.is_sampled:
            written = self._writer.write(exchange, trace)
            self.exporter.put(written, 1 + len(exchange.attempt_records))

    @asynccontextmanager
    async def exporting(self, report_crash: ReportCrash) -> AsyncIterator[None]:
        """Send spans meanwhile; in the end what is left, for `flush_s` at most."""
        tasks = Tasks(report_crash)
        tasks.spawn("export_spans", self.exporter.run())
        try:
            yield
        finally:
            self.exporter.end()
            await tasks.wait(self._spec.flush_s)
            await tasks.cancel()
            self.exporter.give_up()


def open_tracing(
    spec: TracingSpec, *, providers: Collection[str], secrets: Sequence[str]
) -> Tracing:
    """Tracing as the settings say; TracingError when it cannot be."""
    refuse_unknown_providers(spec, providers)
    return Tracing(spec, secrets)


def refuse_unknown_providers(spec: TracingSpec, providers: Collection[str]) -> None:
    """Raise UnknownProviderError when the trace is for a provider that there is not."""
    unknown = [name for name in spec.propagate_to or () if name not in providers]
    if unknown:
        raise UnknownProviderError(
            f"tracing.propagate_to names {unknown[0]}, and there is no such provider; "
            f"there are: {', '.join(providers)}"
        )


def _describe(spec: TracingSpec) -> dict[str, str | int]:
    """What all spans of this process have in common."""
    return {
        "service.version": __version__,
        "service.instance.id": str(uuid.uuid4()),
        "process.pid": os.getpid(),
        **spec.resource,
        "service.name": spec.service_name,
    }
