"""The blocks of one provider's entry in providers.yaml.

Rule: a block left out means what is right for a host that speaks the OpenAI dialect.
"""

from collections.abc import Collection, Iterator
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.config import forms
from gateway.config.mistakes import Mistake, refuse
from gateway.config.spec import Spec
from gateway.core.cost import Price, make_price

# Request headers that are the gateway's own; writing one would break or smuggle a request.
RESERVED_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

HeaderName = Annotated[str, StringConstraints(pattern=forms.HEADER_NAME)]
BodyField = Annotated[str, StringConstraints(pattern=forms.BODY_FIELD)]
DroppedField = Annotated[str, StringConstraints(pattern=forms.DROPPED_FIELD)]
KeyField = Annotated[str, StringConstraints(pattern=forms.KEY_FIELD)]
ModelId = Annotated[str, StringConstraints(pattern=forms.MODEL_ID)]
Label = Annotated[str, StringConstraints(pattern=forms.LABEL)]
# Prices become whole millionths of a dollar.
PriceUsd = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6)]


def _prefix_for(header: str) -> str:
    """Return what stands before the credential in a header, unless the registry says otherwise."""
    return "Bearer " if header.lower() == "authorization" else ""


class AuthSpec(Spec):
    """How the credential goes upstream."""

    header: HeaderName = Field(
        default="Authorization", description="Request header that carries the credential."
    )
    prefix: str = Field(
        default_factory=lambda fields: _prefix_for(fields["header"]),
        pattern=forms.HEADER_PREFIX,
        description=(
            "Text before the credential in that header. "
            "Default: `Bearer ` in `Authorization`, nothing in any other header."
        ),
    )
    required: bool = Field(
        default=True, description="Whether calls are refused if no credential is found."
    )

    @field_validator("header")
    @classmethod
    def _is_no_other(cls, header: str) -> str:
        if header.lower() in RESERVED_HEADERS | {"user-agent"}:
            raise ValueError("belongs to the connection; write the header that the host reads")
        return header


class OwnEndpointSpec(Spec):
    """Where a caller's own credential goes: to an address that is in their profile too."""

    field: KeyField = Field(description="The profile field that holds the address.")
    path: Annotated[str, StringConstraints(pattern=forms.URL_PATH)] = Field(
        default="/openai/v1",
        description="What to append to that address, before `/chat/completions`.",
    )
    models: dict[ModelId, KeyField] = Field(
        min_length=1,
        description=(
            "The models that callers ask for, each with the profile field that holds its "
            "name there."
        ),
    )


class ParamsSpec(Spec):
    """What a request body becomes on its way upstream: drop, rename, set, cap, in this order."""

    send: tuple[Literal["temperature", "max_tokens"], ...] = Field(
        default=("temperature",),
        description="What `/api/chat` sends besides `model`, `messages` and `stream`.",
    )
    drop: tuple[DroppedField, ...] = Field(
        default=(),
        description=(
            "Body fields to leave out because the host refuses them. `messages[].name` "
            "means that field of every message."
        ),
    )
    rename: dict[BodyField, BodyField] = Field(
        default={},
        description=(
            "Body fields that have another name there. If a body has both names, the "
            "field with the new name is kept."
        ),
    )
    set: dict[BodyField, JsonValue] = Field(
        default={},
        description="Body fields that always get this value, whatever the caller sent.",
    )
    cap: dict[BodyField, int | float] = Field(
        default={},
        description="Largest number for a body field; a larger one is replaced by it.",
    )

    @field_validator("drop", "rename", "set")
    @classmethod
    def _leave_the_form(cls, value: Collection[str], info: ValidationInfo) -> Collection[str]:
        # With another one than was asked for, each answer would be one that nobody can read.
        refuse(_mentions_of_stream(value, has_new_names=info.field_name == "rename"))
        return value


class Model(Spec):
    """One model of a provider."""

    id: ModelId = Field(description="The host's name for it.")
    alias: ModelId | None = Field(
        default=None, description="A second name that callers may use for it."
    )
    label: Label | None = Field(default=None, description="Name to show to people.")
    context: PositiveInt | None = Field(
        default=None,
        description="Size of its context window in tokens, prompt and answer together.",
    )
    max_output: PositiveInt | None = Field(
        default=None,
        description="Most tokens in one answer; `/api/chat` sends it as `max_tokens`.",
    )
    price_in_usd_per_mtok: PriceUsd | None = Field(
        default=None, description="Price in USD per million prompt tokens."
    )
    price_cached_in_usd_per_mtok: PriceUsd | None = Field(
        default=None,
        description=(
            "The same for prompt tokens that the host has cached. Default: `price_in_usd_per_mtok`."
        ),
    )
    price_out_usd_per_mtok: PriceUsd | None = Field(
        default=None, description="Price in USD per million answer tokens, including reasoning."
    )
    image_input: bool = Field(default=False, description="Whether it accepts images.")

    @cached_property
    def price(self) -> Price | None:
        """What its tokens cost; None unless prompts and answers both have a price."""
        return make_price(
            self.price_in_usd_per_mtok,
            self.price_out_usd_per_mtok,
            self.price_cached_in_usd_per_mtok,
        )


class TimeoutsSpec(Spec):
    """How long to wait for an upstream, in seconds."""

    connect_s: PositiveFloat = Field(default=5, description="DNS lookup and TCP connection.")
    tls_s: PositiveFloat = Field(default=5, description="TLS handshake.")
    request_body_s: PositiveFloat = Field(default=30, description="Sending the request body.")
    first_content_s: PositiveFloat = Field(
        default=120, description="From the end of the request to the first content of the answer."
    )
    reply_s: PositiveFloat = Field(
        default_factory=lambda fields: _reply_for(fields["first_content_s"]),
        description=(
            "The same for an answer that is not streamed, which arrives only when it is "
            "complete. Default: 600, or `first_content_s` if that is set."
        ),
    )
    idle_s: PositiveFloat = Field(
        default=60, description="Between two pieces of content; comments do not count."
    )
    write_stall_s: PositiveFloat = Field(
        default=30, description=("How long a caller may stop reading before the connection is cut.")
    )
    total_s: PositiveFloat = Field(default=3600, description="One exchange from beginning to end.")
    keep_alive_s: PositiveFloat = Field(
        default=15,
        description=(
            "How long an idle connection is kept. It should be shorter than the host's "
            "own limit, or requests run into closed connections."
        ),
    )


class RetryBudgetSpec(Spec):
    """How many further attempts all requests together may make."""

    enabled: bool = Field(
        default=True,
        description="Whether the number of retries is limited by the number of requests.",
    )
    share: Annotated[float, Field(ge=0, le=5)] = Field(
        default=0.2,
        description=(
            "Retries allowed per request of the last ten seconds: with 0.2 the host gets "
            "at most 1.2 times as many requests."
        ),
    )
    spare: NonNegativeInt = Field(
        default=10,
        description=(
            "Retries that are always allowed in ten seconds, so that a quiet gateway can "
            "retry. The larger of this and the share applies."
        ),
    )


class BreakerSpec(Spec):
    """When a provider that fails is no longer asked, and when it is asked again."""

    enabled: bool = Field(
        default=True, description="Whether a failing provider is left alone at all."
    )
    failure_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5,
        description=(
            "Share of failed attempts at which the breaker opens. Failed connections "
            "count against the host; 5xx, timeouts and broken answers against the model."
        ),
    )
    min_attempts: PositiveInt = Field(
        default=20, description="Fewest attempts within `window_s` for it to open."
    )
    window_s: PositiveFloat = Field(
        default=30, description="How many seconds back attempts are counted."
    )
    open_s: PositiveFloat = Field(
        default=10,
        description=(
            "How long it stays open, ± 20 %; twice as long each time the provider fails again."
        ),
    )
    max_open_s: PositiveFloat = Field(default=60, description="Longest time it stays open.")

    @model_validator(mode="after")
    def _is_no_shorter(self) -> Self:
        if self.max_open_s < self.open_s:
            refuse([Mistake(("max_open_s",), "`max_open_s` has to be at least `open_s`")])
        return self


class TlsSpec(Spec):
    """How the provider's certificate is verified. There is no way to switch that off."""

    ca_file: Path | None = Field(
        default=None,
        description=(
            "Absolute path of a PEM file with the certificate authorities to trust "
            "instead of the system's."
        ),
    )
    server_name: str | None = Field(
        default=None,
        pattern=forms.HOST_NAME,
        description="Host name in the certificate, if it differs from the one in `base_url`.",
    )

    @field_validator("ca_file")
    @classmethod
    def _is_absolute(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError("needs an absolute path, such as /etc/ssl/our-ca.pem")
        return path


def _mentions_of_stream(fields: Collection[str], *, has_new_names: bool) -> Iterator[Mistake]:
    """Yield where body fields are changed that say which form an answer has."""
    message = "`stream` is up to the caller; leave it out"
    if not isinstance(fields, dict):
        places = (place for place, field in enumerate(fields) if field == "stream")
        yield from (Mistake((place,), message) for place in places)
        return
    for field, value in fields.items():
        if field == "stream" or (has_new_names and value == "stream"):
            yield Mistake((field,), message, at_key=field == "stream")


def _reply_for(first_content_s: float) -> float:
    """Return how long a whole reply may take when only streams were spoken of."""
    if first_content_s == TimeoutsSpec.model_fields["first_content_s"].default:
        return 600
    return first_content_s
