"""OpenTelemetry's own variables: honoured where the file says nothing, or refused."""

from pathlib import Path

import pytest

from gateway.config.credentials import CredentialError
from gateway.config.otel_variables import SAMPLERS, VariableError, fill_in
from gateway.config.tracing import TracingSpec

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


def filled(written: dict[str, object] | None = None, **environ: str) -> TracingSpec:
    """What is to be done with this block and these variables."""
    found = fill_in(TracingSpec.model_validate(written or {}), environ)
    assert found is not None
    return found


def test_a_variable_fills_in_what_the_file_leaves_out() -> None:
    """An operator sets them for all programs of a machine at once."""
    found = filled(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318",
        OTEL_EXPORTER_OTLP_HEADERS="api-key=a%2Cb, x-tenant=eu",
        OTEL_EXPORTER_OTLP_TIMEOUT="2500",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_CERTIFICATE="/etc/ca.pem",
        OTEL_SERVICE_NAME="chat-eu",
        OTEL_BSP_SCHEDULE_DELAY="1000",
        OTEL_BSP_MAX_QUEUE_SIZE="100",
    )

    assert found.url == "http://collector:4318/v1/traces"
    assert found.headers == {"api-key": "a,b", "x-tenant": "eu"}
    assert found.secrets == []  # too short to be one
    assert (found.timeout_s, found.compression, found.ca_file) == (2.5, "gzip", Path("/etc/ca.pem"))
    assert (found.service_name, found.export_every_s, found.max_queued_spans) == ("chat-eu", 1, 100)


def test_the_file_goes_first() -> None:
    """What is written down for this gateway is more than what is set for everybody."""
    written = {
        "timeout_s": 3.0,
        "service_name": "mine",
        "sample_ratio": 0.5,
        "callers_decide": True,
    }

    found = filled(
        written,
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_SERVICE_NAME="theirs",
        OTEL_TRACES_SAMPLER="always_off",
    )

    assert (found.timeout_s, found.service_name, found.sample_ratio) == (3, "mine", 0.5)
    assert found.callers_decide


def test_another_collectors_credential_is_not_sent_to_ours() -> None:
    """Where the file names the collector, the variables are about some other one."""
    found = filled({"endpoint": "http://ours:4318"}, **{HEADERS: "api-key=theirs", ENDPOINT: "x"})

    assert found.headers == {}
    assert found.url == "http://ours:4318/v1/traces"


def test_variables_for_traces_go_before_those_for_everything() -> None:
    """Metrics may go elsewhere."""
    found = filled(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://all:4318",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://traces:4318/x/v1/traces",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="2000",
    )

    assert (found.url, found.timeout_s) == ("http://traces:4318/x/v1/traces", 2)


def test_resource_attributes_are_joined() -> None:
    """Those of the machine and those of this gateway."""
    found = filled(
        {"resource": {"team": "chat"}},
        OTEL_RESOURCE_ATTRIBUTES="team=all,host.name=a%20b,service.name=of-resource,My-Key=1,no=,",
    )

    assert found.resource == {"team": "chat", "host.name": "a b", "My-Key": "1"}
    assert found.service_name == "of-resource"
    both = filled(OTEL_RESOURCE_ATTRIBUTES="service.name=a", OTEL_SERVICE_NAME="b")
    assert both.service_name == "b"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_of_the_specification_is_known(sampler: str) -> None:
    """Their names are what operators know."""
    found = filled(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG="0.25")

    expected = 0.25 if sampler.endswith("ratio") else float(sampler.endswith("on"))
    assert found.sample_ratio == expected
    assert found.callers_decide == sampler.startswith("parentbased")


def test_a_ratio_without_a_number_is_all() -> None:
    """As the specification has it."""
    assert filled(OTEL_TRACES_SAMPLER="traceidratio").sample_ratio == 1


@pytest.mark.parametrize(
    "environ", [{"OTEL_SDK_DISABLED": "TRUE"}, {"OTEL_TRACES_EXPORTER": "none"}]
)
def test_a_variable_can_switch_it_off(environ: dict[str, str]) -> None:
    """For one start, without touching the file."""
    assert fill_in(TracingSpec(), environ) is None


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER has to be otlp or none"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "has to be http/protobuf"),
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "has to be one of always_on"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT has to be a number"),
        ({HEADERS: "nonsense"}, "has to look like key=value"),
        ({HEADERS: "x=a%0d%0ab"}, "HEADERS holds a header that cannot be sent"),
        ({HEADERS: "a b=c"}, "HEADERS holds a header that cannot be sent"),
        ({HEADERS: "Host=c"}, "HEADERS holds a header that cannot be sent"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a"}, "has to end in /v1/traces"),
        ({ENDPOINT: "collector:4318"}, f"{ENDPOINT} gives endpoint a value that it cannot have"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "A B=1"}, "OTEL_RESOURCE_ATTRIBUTES gives resource"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a%09b"}, "OTEL_RESOURCE_ATTRIBUTES gives serv"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            "OTEL_TRACES_SAMPLER_ARG gives sample_ratio",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"},
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT gives timeout_s",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(environ: dict[str, str], sentence: str) -> None:
    """Whoever set it relies on it; and no value is shown, it may be a secret."""
    with pytest.raises(VariableError, match=sentence):
        fill_in(TracingSpec(), environ)


def test_a_header_without_its_variable_is_refused() -> None:
    """A collector that answers 401 all night tells nobody."""
    with pytest.raises(CredentialError, match="TOKEN, which is not set"):
        fill_in(TracingSpec(headers={"authorization": "${TOKEN}"}), {})
