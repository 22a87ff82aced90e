"""Where traces are sent, and which: `tracing` in gateway.yaml.

Rule: nothing is sent anywhere unless this block is written. What stands in it goes before what
OpenTelemetry's own variables say (`otel_variables`), and those before the defaults.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, field_validator

from gateway.config import forms
from gateway.config.addresses import check_base_url
from gateway.config.credentials import find_unsendable
from gateway.config.mistakes import Mistake, refuse
from gateway.config.spec import Spec

TRACES_PATH = "/v1/traces"
FORBIDDEN = frozenset({"content-type", "content-length", "content-encoding", "host", "connection"})
# Words in the name of a header whose value is a secret.
SECRET_WORDS = ("auth", "key", "token", "secret", "password", "cookie")
MAX_RESOURCE = 64
SECRET_CHARS_MIN = 8

HeaderName = Annotated[str, StringConstraints(pattern=forms.HEADER_NAME)]
ProviderName = Annotated[str, StringConstraints(pattern=forms.PROVIDER_NAME)]
AttributeName = Annotated[str, StringConstraints(pattern=forms.ATTRIBUTE)]
Text = Annotated[str, StringConstraints(pattern=forms.ATTRIBUTE_TEXT)]


class TracingSpec(Spec):
    """Spans of exchanges and attempts, sent to a collector as OTLP over HTTP."""

    endpoint: str = Field(
        default="http://127.0.0.1:4318",
        max_length=2000,
        description=(
            "Where the collector accepts OTLP over HTTP; `/v1/traces` is appended if the "
            "path does not end with it."
        ),
    )
    headers: dict[HeaderName, str] = Field(
        default={},
        repr=False,  # a value may have come from the environment
        description=(
            "Request headers for the collector. Values may contain `${VARIABLE}` or "
            "`${VARIABLE:-default}`; secrets must."
        ),
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file with the certificate authorities to trust for the collector.",
    )
    compression: Literal["none", "gzip"] = Field(
        default="none", description="How the requests are compressed."
    )
    timeout_s: PositiveFloat = Field(
        default=10, description="How long the collector may take to answer."
    )
    export_every_s: PositiveFloat = Field(
        default=5, description="How long a span may wait to be sent together with others."
    )
    max_queued_spans: PositiveInt = Field(
        default=2048,
        description="Most spans that may wait to be sent; more are dropped and counted.",
    )
    flush_s: PositiveFloat = Field(
        default=5,
        description="How long sending the remaining spans may take when the gateway stops.",
    )
    sample_ratio: float = Field(
        default=1, ge=0, le=1, description="Share of the traces to record, from 0 to 1."
    )
    callers_decide: bool = Field(
        default=True,
        description=(
            "Whether a caller's `traceparent` decides if its exchange is recorded; "
            "otherwise `sample_ratio` decides for every exchange."
        ),
    )
    propagate_to: tuple[ProviderName, ...] | None = Field(
        default=None,
        description=(
            "Providers that receive the trace in `traceparent` and `tracestate`. Unset: "
            "all; `[]`: none."
        ),
    )
    service_name: Text = Field(
        default="chat-gateway", description="Name of this gateway at the collector."
    )
    resource: dict[AttributeName, Text] = Field(
        default={},
        max_length=MAX_RESOURCE,
        description=(
            "Further attributes of the gateway as a whole, such as `deployment.environment.name`."
        ),
    )

    @property
    def url(self) -> str:
        """Where spans are posted."""
        parts = urlsplit(self.endpoint)
        path = parts.path.rstrip("/")
        if not path.endswith(TRACES_PATH):
            path += TRACES_PATH
        return urlunsplit(parts._replace(path=path))

    @property
    def secrets(self) -> list[str]:
        """What must not stand in a log line or an attribute."""
        values = [value for name, value in self.headers.items() if is_secret(name)]
        words = [word for value in values for word in value.split()]
        return [word for word in words if len(word) >= SECRET_CHARS_MIN]  # no `Bearer`

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, endpoint: str) -> str:
        check_base_url(endpoint, allow_private=True, credential="give the credential in `headers`")
        return endpoint

    @field_validator("headers")
    @classmethod
    def _may_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        refuse([*_find_forbidden(headers), *find_unsendable(headers)])
        return headers


def _find_forbidden(headers: dict[str, str]) -> Iterator[Mistake]:
    for name, value in headers.items():
        if name.lower() in FORBIDDEN:
            message = "is what the gateway writes itself; leave it out"
            yield Mistake((name,), message, at_key=True)
        elif is_secret(name) and "${" not in value:
            yield Mistake((name,), "contains the value itself; write ${VARIABLE}")


def is_secret(header: str) -> bool:
    """Whether the value of a header is not to be seen."""
    low = header.lower()
    return any(word in low for word in SECRET_WORDS)
