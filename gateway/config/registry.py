"""What may be written in providers.yaml.

Rule: two lines are a provider; every default is right for a host that speaks the OpenAI dialect.
"""

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from gateway.config import forms
from gateway.config.addresses import check_base_url
from gateway.config.credentials import (
    check_reference,
    find_repeated,
    find_unsendable,
)
from gateway.config.mistakes import Mistake, refuse
from gateway.config.provider_blocks import (
    RESERVED_HEADERS,
    AuthSpec,
    BreakerSpec,
    HeaderName,
    KeyField,
    Label,
    Model,
    ModelId,
    OwnEndpointSpec,
    ParamsSpec,
    RetryBudgetSpec,
    TimeoutsSpec,
    TlsSpec,
)
from gateway.config.spec import Spec
from gateway.core.cost import FREE, Price

SIMULATOR = "simulator:"
SIMULATED_PROVIDER = "demo"
CREDENTIALS_MAX = 1000  # each is looked at for each request
CUSTOM_MODELS = "models:"
CUSTOM_PROVIDER = "custom"
CredentialSource = Literal["operator", "profile", "tenant"]

# Segments of our own paths: a provider of that name could not be told from a route.
ROUTE_SEGMENTS = frozenset(
    {
        "admin",
        "api",
        "chat",
        "completions",
        "healthz",
        "keys",
        "metrics",
        "models",
        "profile",
        "providers",
        "readyz",
        "v1",
    }
)

ProviderName = Annotated[str, StringConstraints(pattern=forms.PROVIDER_NAME)]
EnvName = Annotated[str, StringConstraints(pattern=forms.ENV_NAME)]


def _as_reference(credential: SecretStr) -> SecretStr:
    """Return what may stand for a credential; ValueError for anything else."""
    check_reference(credential.get_secret_value())
    return credential


Reference = Annotated[SecretStr, AfterValidator(_as_reference)]


def _snake(name: object) -> str:
    """Return a provider's name as part of a field's or a variable's name."""
    return str(name).replace("-", "_")


def _variable(name: object) -> str:
    """Return the variable with a provider's credential, as a shell can set it."""
    variable = _snake(name).upper() + "_API_KEY"
    return f"_{variable}" if variable[0].isdigit() else variable


class Provider(Spec):
    """One provider: a dialect, an address and a credential."""

    name: ProviderName = Field(description="The key of the entry; the name in paths and models.")
    allow_private: bool = Field(
        default=False,
        description=(
            "Whether `base_url` may point to a loopback, private, link-local or metadata address."
        ),
    )
    base_url: str = Field(
        min_length=1,
        max_length=2000,
        description=(
            "The address of its API: everything before `/chat/completions`. Only `demo` "
            "may use `simulator:` (the simulator inside the gateway), and only `custom` "
            "may use `models:` (the address of the caller's own model)."
        ),
    )
    label: Label = Field(
        default_factory=lambda fields: str(fields["name"]).title(),
        description="Name shown in messages and lists. Default: the name, capitalised.",
    )
    dialect: Literal["openai"] = Field(default="openai", description="The API it speaks.")
    key: KeyField = Field(
        default_factory=lambda fields: _snake(fields["name"]) + "_api_key",
        description=(
            "Name of the profile field that holds a caller's own credential. Default: "
            "`<name>_api_key`."
        ),
    )
    env: EnvName = Field(
        default_factory=lambda fields: _variable(fields["name"]),
        description="Environment variable that holds the credential. Default: `<NAME>_API_KEY`.",
    )
    credential: Reference | None = Field(
        default=None,
        description=(
            "Where the credential is, if not in `env`: `${VARIABLE}` or "
            "`file:/absolute/path`. The credential itself may be written here only if the "
            "mode of this file is 0600."
        ),
    )
    credentials: tuple[Reference, ...] = Field(
        default=(),
        max_length=CREDENTIALS_MAX,
        description=(
            "Several credentials that share the requests; each entry is written like "
            "`credential`. `env` is then ignored."
        ),
    )
    credential_order: tuple[CredentialSource, ...] = Field(
        default=("operator", "profile", "tenant"),
        min_length=1,
        description=(
            "Whose credential is used; the first one found wins: the operator's, the one "
            "in the caller's profile, or the one of the caller's tenant. One that is left "
            "out is never used."
        ),
    )
    own_endpoint: OwnEndpointSpec | None = Field(
        default=None,
        description=(
            "Where a credential from a caller's profile is sent, if the address is in the "
            "profile too. Only with `profiles: {source: postgres}`."
        ),
    )
    auth: AuthSpec = Field(default=AuthSpec(), description="How the credential is sent.")
    headers: dict[HeaderName, str] = Field(
        default={},
        repr=False,  # a value may have come from the environment
        description=(
            "Request headers to add. Values may contain `${VARIABLE}` or "
            "`${VARIABLE:-default}`; a header with an empty value is not sent."
        ),
    )
    profile_headers: dict[HeaderName, KeyField] = Field(
        default={},
        description=(
            "Request headers to send with a caller's or a tenant's own credential, each "
            "with the profile field that holds its value. They replace those of the same "
            "name in `headers`."
        ),
    )
    params: ParamsSpec = Field(default=ParamsSpec(), description="How a request body is changed.")
    stream_usage: bool = Field(
        default=True,
        description=(
            "Whether the gateway may ask for token counts with `stream_options.include_usage`."
        ),
    )
    # Before `models`, whose check holds it against them: it is said even where they have mistakes.
    default_model: ModelId | None = Field(
        default=None,
        description="Model for callers that name none: the id or alias of a model.",
    )
    models: tuple[Model, ...] = Field(
        default=(),
        description=(
            "Its models, for lists, prices and limits. Models that are not listed can be "
            "called too."
        ),
    )
    max_output: PositiveInt | None = Field(
        default=None,
        description=(
            "`max_tokens` on `/api/chat` for a model not in `models`. Default: none is sent."
        ),
    )
    timeouts: TimeoutsSpec = Field(default=TimeoutsSpec(), description="How long to wait.")
    retries: Annotated[NonNegativeInt, Field(le=5)] = Field(
        default=2, description=("Further attempts after a failure, only before the first content.")
    )
    retry_budget: RetryBudgetSpec = Field(
        default=RetryBudgetSpec(), description="How many retries all requests together may make."
    )
    breaker: BreakerSpec = Field(
        default=BreakerSpec(),
        description="When the provider is left alone because it keeps failing.",
    )
    on_client_gone: Literal["cancel", "drain"] = Field(
        default="cancel",
        description=(
            "When the caller hangs up: cancel the provider's answer, or read it to its end."
        ),
    )
    on_stream_error: Literal["cut", "notice"] = Field(
        default="cut",
        description=(
            "When an answer fails halfway on `/api/chat`: cut the connection, or write a "
            "line of text first."
        ),
    )
    incorrect_key: Literal["status", "text", "never"] = Field(
        default="status",
        description=(
            "When `/api/chat` says that the key is incorrect: on every 401, "
            'only on a 401 that says "incorrect api key", or never.'
        ),
    )
    max_connections: PositiveInt = Field(
        default=10_000, description="Most connections to it at a time; calls beyond that get 503."
    )
    tls: TlsSpec = Field(default=TlsSpec(), description="How its certificate is verified.")

    def find_model(self, id_or_alias: str) -> Model | None:
        """Return the model that goes by this id or alias; an id wins over an alias."""
        by_alias = None
        for model in self.models:
            if model.id == id_or_alias:
                return model
            if model.alias == id_or_alias:
                by_alias = model
        return by_alias

    def max_output_of(self, model: str) -> int | None:
        """Return how long an answer of this model may get, as far as the registry knows."""
        known = self.find_model(model)
        return self.max_output if known is None else known.max_output

    def names_of(self, id_or_alias: str) -> tuple[str, ...]:
        """Return every name that leads to the model which this one leads to."""
        model = self.find_model(id_or_alias)
        if model is None:
            return (id_or_alias,)
        return (model.id,) if model.alias is None else (model.id, model.alias)

    def price_of(self, model: Model | None) -> Price | None:
        """What tokens of this model cost, or of one that is not listed; None if nobody knows.

        Nobody charges for what the simulator says, so that is free unless it has a price.
        """
        price = None if model is None else model.price
        return FREE if price is None and self.is_simulated else price

    @property
    def is_simulated(self) -> bool:
        """Whether the simulator inside the gateway answers."""
        return self.base_url == SIMULATOR

    @property
    def needs_credential(self) -> bool:
        """Whether calls are refused if no credential is found."""
        return self.auth.required and not self.is_simulated

    @property
    def is_custom(self) -> bool:
        """Whether the address is that of the caller's own model."""
        return self.base_url == CUSTOM_MODELS

    @property
    def is_placeholder(self) -> bool:
        """Whether the address still holds EXAMPLE: nobody's credential may go there."""
        return "//EXAMPLE." in self.base_url

    @field_validator("name")
    @classmethod
    def _is_no_route(cls, name: str) -> str:
        if name in ROUTE_SEGMENTS:
            raise ValueError("is part of the gateway's own paths; choose another name")
        return name

    @field_validator("base_url")
    @classmethod
    def _may_be_called(cls, url: str, fields: ValidationInfo) -> str:
        if url == SIMULATOR:
            if fields.data.get("name", SIMULATED_PROVIDER) != SIMULATED_PROVIDER:
                raise ValueError(f"may be `{SIMULATOR}` for the provider `demo` only; write a URL")
            return url
        if url == CUSTOM_MODELS:
            if fields.data.get("name", CUSTOM_PROVIDER) != CUSTOM_PROVIDER:
                raise ValueError(
                    f"may be `{CUSTOM_MODELS}` for the provider `custom` only; write a URL"
                )
            if fields.data.get("allow_private"):
                raise ValueError(
                    f"may not be `{CUSTOM_MODELS}` with `allow_private`: callers write the "
                    "addresses, and would reach what only the gateway reaches"
                )
            return url
        # Where allow_private itself is wrong, that is the mistake to report, not the address.
        check_base_url(
            url,
            allow_private=fields.data.get("allow_private", True),
            credential="give the credential by `env` or `credential`",
        )
        return url.rstrip("/")

    @field_validator("credentials")
    @classmethod
    def _are_several(
        cls, credentials: tuple[SecretStr, ...], fields: ValidationInfo
    ) -> tuple[SecretStr, ...]:
        found = list(find_repeated(credentials))
        if fields.data.get("credential") is not None:
            message = (
                "cannot be combined with `credential`; write all of them here, or only that one"
            )
            found.append(Mistake((), message))
        if not credentials:
            found.append(Mistake((), "is empty; write one reference or more, or leave it out"))
        refuse(found)
        return credentials

    @field_validator("credential_order")
    @classmethod
    def _name_each_once(cls, order: tuple[CredentialSource, ...]) -> tuple[CredentialSource, ...]:
        refuse(
            Mistake((place,), f"{source} is written twice; keep one")
            for place, source in enumerate(order)
            if source in order[:place]
        )
        return order

    @field_validator("profile_headers")
    @classmethod
    def _are_the_profiles(cls, headers: dict[str, str], fields: ValidationInfo) -> dict[str, str]:
        auth = fields.data.get("auth", AuthSpec())
        taken = RESERVED_HEADERS | {auth.header.lower()}
        message = "cannot come from a profile; leave it out"
        refuse(Mistake((name,), message, at_key=True) for name in headers if name.lower() in taken)
        return headers

    @field_validator("headers")
    @classmethod
    def _may_be_sent(cls, headers: dict[str, str], fields: ValidationInfo) -> dict[str, str]:
        auth = fields.data.get("auth", AuthSpec())
        found = [*_misnamed_headers(headers, auth.header.lower()), *find_unsendable(headers)]
        if headers and fields.data.get("base_url") == CUSTOM_MODELS:
            message = "would be sent to whatever host a caller chooses; leave it out"
            found.append(Mistake((), message))
        refuse(found)
        return headers

    @field_validator("models")
    @classmethod
    def _are_told_apart(
        cls, models: tuple[Model, ...], fields: ValidationInfo
    ) -> tuple[Model, ...]:
        names = [
            (place, part, name)
            for place, model in enumerate(models)
            for part, name in (("id", model.id), ("alias", model.alias))
            if name
        ]
        seen: set[str] = set()
        found: list[Mistake] = []
        for place, part, name in names:
            if name in seen:
                message = f"the id or alias {name!r} is written twice; keep one"
                found.append(Mistake((place, part), message))
            seen.add(name)
        default = fields.data.get("default_model")
        if default is not None and models and default not in seen:
            message = "is not among this provider's `models`; add it there, or name one of them"
            found.append(Mistake(("default_model",), message, is_beside=True))
        refuse(found)
        return models


def _misnamed_headers(headers: dict[str, str], of_credential: str) -> Iterator[Mistake]:
    """Yield each header whose name is taken."""
    seen: set[str] = set()
    for name in headers:
        low = name.lower()
        if low in RESERVED_HEADERS:
            yield Mistake((name,), "belongs to the connection; leave it out", at_key=True)
        elif low == of_credential:
            yield Mistake((name,), "is the header of the credential; use `auth`", at_key=True)
        elif low in seen:
            message = "is written twice, in different case; keep one"
            yield Mistake((name,), message, at_key=True)
        seen.add(low)


class RegistryFile(Spec):
    """All of providers.yaml."""

    providers: dict[str, Provider] = Field(
        min_length=1, description="The providers, by the name that callers use."
    )

    @field_validator("providers")
    @classmethod
    def _share_nothing_unsaid(cls, providers: dict[str, Provider]) -> dict[str, Provider]:
        refuse(_find_shared_names(providers))
        return providers


def _find_shared_names(providers: dict[str, Provider]) -> Iterator[Mistake]:
    """Yield each provider that would get the credential of another host by its derived names."""
    first: dict[tuple[str, str], Provider] = {}
    for name, provider in providers.items():
        shared: list[str] = []
        for field in _derived(provider):
            derived = getattr(provider, field)
            other = first.setdefault((field, derived), provider)
            if urlsplit(other.base_url).netloc != urlsplit(provider.base_url).netloc:
                shared.append(f"`{field}` {derived} as {other.name}")
        if shared:
            message = (
                f"has the same {' and the same '.join(shared)}, at another host: each would get "
                "the other's credential; write `env` and `key`, or take another name"
            )
            yield Mistake((name,), message, at_key=True)


def _derived(provider: Provider) -> Iterator[str]:
    """Yield the fields that were made of the name, and say where a credential is."""
    written = provider.model_fields_set
    if not written & {"env", "credential", "credentials"}:
        yield "env"
    if "key" not in written:
        yield "key"
