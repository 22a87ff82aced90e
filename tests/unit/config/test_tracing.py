"""Where traces are sent, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.config.load import Registry, known_secrets, load_settings
from gateway.config.problems import ConfigError
from gateway.config.settings import Settings
from gateway.config.tracing import TracingSpec


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    """The settings of a file with this text."""
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    return load_settings(file, environ)


def test_without_the_block_there_is_no_tracing(tmp_path: Path) -> None:
    """Not even where the environment is full of variables for other programs."""
    assert Settings().tracing is None
    written = load(tmp_path, "logging: {}\n", OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318")
    assert written.tracing is None


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("https://a.example/otlp", "https://a.example/otlp/v1/traces"),
        ("https://a.example/otlp/v1/traces", "https://a.example/otlp/v1/traces"),
    ],
)
def test_the_path_is_added_once(endpoint: str, url: str) -> None:
    """Vendors document both."""
    assert TracingSpec(endpoint=endpoint).url == url


@pytest.mark.parametrize(
    "endpoint", ["localhost:4318", "grpc://a:4317", "http://u:p@a", "http://a?key=1", "http://a b"]
)
def test_an_endpoint_is_a_plain_address(endpoint: str) -> None:
    """A credential in it would stand in every line about it."""
    with pytest.raises(ValidationError):
        TracingSpec(endpoint=endpoint)


def test_a_secret_is_written_as_a_reference(tmp_path: Path) -> None:
    """The file is shown around; and what it stands for is masked wherever it turns up."""
    text = "tracing:\n  headers: {authorization: 'Bearer ${TOKEN}', x-tenant: eu}\n"

    settings = load(tmp_path, text, TOKEN="s3cr3t-of-collector")

    assert settings.tracing is not None
    assert settings.tracing.headers["authorization"] == "Bearer s3cr3t-of-collector"
    assert known_secrets(settings, Registry({}, {})) == ["s3cr3t-of-collector"]
    assert "s3cr3t" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "tracing: {headers: {api-key: abc}}",
            "1:30: tracing.headers.api-key: contains the value itself",
        ),
        (
            "tracing: {headers: {x-key: '${NO}'}}",
            "1:28: tracing.headers.x-key: the header x-key needs",
        ),
        ("tracing: {headers: {Host: a}}", "1:21: tracing.headers.Host: is what the gateway"),
        ("tracing: {headers: {x: 'a\\nb'}}", "tracing.headers.x: has a broken"),
        ("tracing: {sample_ratio: 1.5}", "1:25: tracing.sample_ratio: needs to be 1 or less"),
        ("tracing: {endpoint: x}", "1:21: tracing.endpoint: needs to start with http"),
        ("tracing: {endpoint: 'http://u:p@a'}", "give the credential in `headers`"),
        ("tracing: {url: x}", "1:11: tracing.url: unknown key"),
        ("tracing: {resource: {'A B': x}}", "tracing.resource"),
        ("tracing: {ca_file: nowhere.pem}", "1:20: tracing.ca_file: no such file"),
    ],
)
def test_a_mistake_is_shown_where_it_is(tmp_path: Path, text: str, problem: str) -> None:
    """With its line and column, and never with a value."""
    if "broken" in problem:
        text, problem = "tracing: {headers: {x: '${'}}", "tracing.headers.x: has a broken"

    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text + "\n")

    assert problem.rpartition(":20: ")[2].rpartition(":21: ")[2] in str(raised.value)
    assert "gateway.yaml:1:" in str(raised.value)
