"""OpenTelemetry's own variables, as far as they are about what `tracing` in gateway.yaml is about.

Rule: a variable fills in what the file leaves out, and is refused when it cannot be honoured:
an operator who set it relies on it.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from gateway.config import forms
from gateway.config.credentials import HEADER_VALUE, fill_headers
from gateway.config.tracing import FORBIDDEN, TracingSpec

_TRACES = "OTEL_EXPORTER_OTLP_TRACES_"
_ALL = "OTEL_EXPORTER_OTLP_"
SAMPLERS = {
    "always_on": (1.0, False),
    "always_off": (0.0, False),
    "traceidratio": (None, False),
    "parentbased_always_on": (1.0, True),
    "parentbased_always_off": (0.0, True),
    "parentbased_traceidratio": (None, True),
}
# Which variables fill in a field; the first that is set does.
_FILLED_BY = {
    **{
        field: (f"{_TRACES}{name}", f"{_ALL}{name}")
        for field, name in (
            ("ca_file", "CERTIFICATE"),
            ("compression", "COMPRESSION"),
            ("endpoint", "ENDPOINT"),
            ("timeout_s", "TIMEOUT"),
        )
    },
    "export_every_s": ("OTEL_BSP_SCHEDULE_DELAY",),
    "max_queued_spans": ("OTEL_BSP_MAX_QUEUE_SIZE",),
    "resource": ("OTEL_RESOURCE_ATTRIBUTES",),
    "sample_ratio": ("OTEL_TRACES_SAMPLER_ARG",),
    "service_name": ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"),
}
PROTOCOL = "http/protobuf"
EXPORTER = "otlp"

Environ = Mapping[str, str]


class VariableError(ValueError):
    """A variable of OpenTelemetry's that cannot be honoured."""


def fill_in(written: TracingSpec, environ: Environ) -> TracingSpec | None:
    """What is to be done: the block, and what the variables say where it says nothing.

    None where a variable switches tracing off; ValueError for one that cannot be honoured, and
    CredentialError for a header whose variable is not set.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter == "none":
        return None
    if exporter not in {"", EXPORTER}:
        raise VariableError(f"OTEL_TRACES_EXPORTER has to be {EXPORTER} or none")
    if "endpoint" in written.model_fields_set:
        # The variables may be about another collector, and their headers hold its credential.
        environ_of_exporter: Environ = {}
    else:
        environ_of_exporter = environ
        _check_protocol(environ)
    read = {**_read_exporter(environ_of_exporter), **_read(environ)}
    found = {
        name: value
        for name, value in read.items()
        if value is not None and name not in written.model_fields_set
    }
    # Attributes are joined, each by its name.
    of_machine = _read_pairs(environ, "OTEL_RESOURCE_ATTRIBUTES").items()
    resource = {**{name: value for name, value in of_machine if value}, **written.resource}
    service = resource.pop("service.name", None)
    if service is not None and "service_name" not in written.model_fields_set:
        found.setdefault("service_name", service)
    found["resource"] = resource
    if "headers" not in found:
        found["headers"] = fill_headers(written.headers, environ)
    return _validated(written, found, environ)


def _read_exporter(environ: Environ) -> dict[str, Any]:
    """The fields that are about the collector; None where no variable says anything."""
    found: dict[str, Any] = {
        "ca_file": _of_exporter(environ, "CERTIFICATE", Path),
        "compression": _of_exporter(environ, "COMPRESSION", str),
        "endpoint": _read_endpoint(environ),
        "timeout_s": _of_exporter(environ, "TIMEOUT", _milliseconds),
    }
    for name in (f"{_TRACES}HEADERS", f"{_ALL}HEADERS"):
        if environ.get(name):
            found["headers"] = _read_headers(environ, name)
            break
    return found


def _read(environ: Environ) -> dict[str, Any]:
    """The other fields."""
    return {
        "service_name": environ.get("OTEL_SERVICE_NAME") or None,
        "export_every_s": _convert(environ, "OTEL_BSP_SCHEDULE_DELAY", _milliseconds),
        "max_queued_spans": _convert(environ, "OTEL_BSP_MAX_QUEUE_SIZE", int),
        **_read_sampler(environ),
    }


def _read_endpoint(environ: Environ) -> str | None:
    """Of traces alone: as it is. Of everything: the path for traces is added."""
    alone = environ.get(f"{_TRACES}ENDPOINT")
    if alone and not urlsplit(alone).path.rstrip("/").endswith("/v1/traces"):
        raise VariableError(f"{_TRACES}ENDPOINT has to end in /v1/traces")
    return alone or environ.get(f"{_ALL}ENDPOINT") or None


def _read_sampler(environ: Environ) -> dict[str, Any]:
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip()
    if not name:
        return {}
    if name not in SAMPLERS:
        raise VariableError(f"OTEL_TRACES_SAMPLER has to be one of {', '.join(SAMPLERS)}")
    ratio, callers_decide = SAMPLERS[name]
    if ratio is None:
        ratio = _convert(environ, "OTEL_TRACES_SAMPLER_ARG", float)
    return {"sample_ratio": ratio, "callers_decide": callers_decide}


def _check_protocol(environ: Environ) -> None:
    for name in (f"{_TRACES}PROTOCOL", f"{_ALL}PROTOCOL"):
        protocol = environ.get(name)
        if protocol:
            if protocol != PROTOCOL:
                raise VariableError(
                    f"{name} has to be {PROTOCOL}, most often on port 4318; "
                    "or write tracing.endpoint"
                )
            return


def _of_exporter(environ: Environ, name: str, convert: Callable[[str], Any]) -> Any:  # noqa: ANN401 - of whichever type the field is
    value = _convert(environ, _TRACES + name, convert)
    return _convert(environ, _ALL + name, convert) if value is None else value


def _convert(environ: Environ, name: str, convert: Callable[[str], Any]) -> Any:  # noqa: ANN401 - of whichever type the field is
    text = environ.get(name, "").strip()
    if not text:
        return None
    try:
        return convert(text)
    except ValueError:
        raise VariableError(f"{name} has to be a number") from None


def _milliseconds(text: str) -> float:
    return int(text) / 1000


def _read_pairs(environ: Environ, name: str) -> dict[str, str]:
    """`a=1,b=2`, with what would end a value percent-encoded."""
    pairs: dict[str, str] = {}
    for part in environ.get(name, "").split(","):
        key, equals, value = part.partition("=")
        if not equals and part.strip():
            raise VariableError(f"{name} has to look like key=value,key=value")
        if equals:
            pairs[key.strip()] = unquote(value.strip())
    return pairs


def _read_headers(environ: Environ, name: str) -> dict[str, str]:
    headers = _read_pairs(environ, name)
    for header, value in headers.items():
        is_sendable = re.fullmatch(forms.HEADER_NAME, header) and HEADER_VALUE.fullmatch(value)
        if not is_sendable or header.lower() in FORBIDDEN:
            raise VariableError(f"{name} holds a header that cannot be sent")
    return headers


def _validated(written: TracingSpec, found: dict[str, Any], environ: Environ) -> TracingSpec:
    """Values that came from elsewhere are held against the same rules, secrets apart."""
    headers = found.pop("headers")
    merged = {**written.model_dump(exclude={"headers"}), **found}
    try:
        checked = TracingSpec.model_validate(merged)
    except ValidationError as error:
        place = error.errors()[0]["loc"]
        names = _FILLED_BY.get(str(place[0]), ()) if place else ()
        variable = next((name for name in names if environ.get(name)), "OTEL_…")
        raise VariableError(
            f"{variable} gives {'.'.join(map(str, place)) or 'tracing'} a value that it cannot have"
        ) from None
    return checked.model_copy(update={"headers": headers})
