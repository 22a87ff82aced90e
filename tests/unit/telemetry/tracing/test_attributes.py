"""The names of attributes are those that dashboards of others know."""

from opentelemetry.semconv._incubating.attributes import (
    client_attributes,
    error_attributes,
    gen_ai_attributes,
    http_attributes,
    process_attributes,
    server_attributes,
    service_attributes,
    url_attributes,
)

from gateway.telemetry.tracing.attributes import ATTRIBUTES, NAMES, WELL_KNOWN, tracing_table

KNOWN = {
    value
    for module in (
        client_attributes,
        error_attributes,
        gen_ai_attributes,
        http_attributes,
        process_attributes,
        server_attributes,
        service_attributes,
        url_attributes,
    )
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}


def test_every_name_is_ours_or_one_of_the_conventions() -> None:
    """A name that only looks like one of theirs is found by nobody."""
    assert {name for name in NAMES if not name.startswith("gateway.")} <= KNOWN


def test_providers_are_called_what_the_conventions_call_them() -> None:
    """Where they have a name."""
    values = gen_ai_attributes.GenAiProviderNameValues

    assert set(WELL_KNOWN.values()) <= {value.value for value in values}


def test_the_table_has_a_row_for_each() -> None:
    """It is the documentation."""
    assert tracing_table().count("\n") == len(ATTRIBUTES) + 2
    assert len(NAMES) == len(ATTRIBUTES)
