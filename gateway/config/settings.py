"""What may be written in gateway.yaml.

Rule: every default is safe on a laptop; whatever opens the gateway to others has to be written out.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.config import forms
from gateway.config.anonymous import AnonymousAuth
from gateway.config.key_hashes import check_hashes
from gateway.config.ledger import LedgerSpec
from gateway.config.limit_rules import MONEY_SUFFIX, LimitSpec
from gateway.config.logging import LoggingSpec
from gateway.config.mistakes import Mistake, refuse
from gateway.config.networks import ProxyNetwork
from gateway.config.overload import OverloadSpec
from gateway.config.profiles import ProfilesSpec
from gateway.config.spec import Spec
from gateway.config.stores import StoresSpec
from gateway.config.token_auth import JwtAuth, SupabaseCookieAuth, TokenAuth
from gateway.config.tracing import TracingSpec

USUAL_PORTS = {("http", "80"), ("https", "443")}


def check_origin(origin: str) -> str:
    """The origin as browsers send it; ValueError for one that none sends."""
    if (origin.partition(":")[0], origin.rpartition(":")[2]) in USUAL_PORTS:
        raise ValueError("names the port that its scheme has anyway; leave it out, as browsers do")
    return origin


Port = Annotated[NonNegativeInt, Field(le=65535)]
BindHost = Annotated[str, StringConstraints(pattern=forms.BIND_HOST)]
SocketPath = Annotated[str, StringConstraints(pattern=forms.SOCKET_PATH)]
FileMode = Annotated[str, StringConstraints(pattern=forms.FILE_MODE)]
Origin = Annotated[str, StringConstraints(pattern=forms.ORIGIN), AfterValidator(check_origin)]
PrincipalName = Annotated[str, StringConstraints(pattern=forms.PRINCIPAL)]
KeyHash = Annotated[str, StringConstraints(pattern=forms.KEY_HASH)]
KeyHashes = Annotated[
    dict[PrincipalName, KeyHash], Field(min_length=1), AfterValidator(check_hashes)
]
PluginName = Annotated[str, StringConstraints(pattern=forms.PLUGIN)]
MiddlewareName = Annotated[str, StringConstraints(pattern=forms.MIDDLEWARE)]

MEBIBYTE = 1024 * 1024
MOST_WORKERS = 256
LEAST_WORKER_TIMEOUT_S = 1


class ServerSpec(Spec):
    """The public listener."""

    host: BindHost = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=8080, description="Port to listen on; 0 picks a free one.")
    unix_socket: SocketPath | None = Field(
        default=None,
        description=(
            "Path of a socket to listen on instead of an address and a port; for a proxy "
            "on this machine."
        ),
    )
    unix_socket_mode: FileMode = Field(
        default="0660", description="Octal mode of that socket, as text: who may connect to it."
    )
    max_body_bytes: PositiveInt = Field(
        default=32 * MEBIBYTE, description="Largest request body; a larger one is answered 413."
    )
    max_bodies_bytes: PositiveInt | None = Field(
        default=None,
        description=(
            "Total size of all request bodies in memory; each is kept until its answer "
            "starts. More is answered 503. Unset: three of the largest."
        ),
    )
    max_reply_bytes: PositiveInt = Field(
        default=32 * MEBIBYTE,
        description="Largest answer that is not streamed; it is held in memory.",
    )
    max_stream_bytes: PositiveInt = Field(
        default=1024 * MEBIBYTE,
        description="Largest streamed answer, including its framing; a longer one is cut.",
    )
    head_timeout_s: PositiveFloat = Field(
        default=10, description="How long a caller may take to send the headers of a request."
    )
    request_body_timeout_s: PositiveFloat = Field(
        default=30, description="How long a caller may take to send the body of a request."
    )
    keep_alive_s: PositiveFloat = Field(
        default=75, description="How long an idle connection of a caller is kept."
    )
    drain_s: PositiveFloat = Field(
        default=30,
        description="How long answers in progress may take to finish when the gateway stops.",
    )
    workers: PositiveInt = Field(
        default=1,
        le=MOST_WORKERS,
        description="Number of processes that answer requests; one per core is enough.",
    )
    worker_timeout_s: NonNegativeFloat = Field(
        default=60,
        description=(
            "How long the event loop of a worker may be stuck before that worker is "
            "killed and replaced; 0: forever. Only with several workers."
        ),
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(), description="Web origins whose pages may call the gateway. Default: none."
    )
    trusted_proxies: tuple[ProxyNetwork, ...] = Field(
        default=(),
        description=(
            "Networks of the proxies in front, and `unix` for one that connects through "
            "the Unix socket. They are believed about the caller's address, in "
            "`X-Forwarded-For` or `Forwarded`. Default: none."
        ),
    )

    @property
    def bound_to(self) -> str:
        """What it listens on: a host, or the path of a socket, behind which is anybody."""
        return self.host if self.unix_socket is None else self.unix_socket

    @field_validator("worker_timeout_s")
    @classmethod
    def _is_longer_than_a_pause(cls, timeout_s: float) -> float:
        if 0 < timeout_s < LEAST_WORKER_TIMEOUT_S:
            raise ValueError(
                f"has to be 0, for never, or {LEAST_WORKER_TIMEOUT_S} at least: "
                "a pause of less is every day's"
            )
        return timeout_s

    @model_validator(mode="after")
    def _holds_the_largest_body(self) -> Self:
        if self.max_bodies_bytes is not None and self.max_bodies_bytes < self.max_body_bytes:
            message = "`max_bodies_bytes` has to be at least `max_body_bytes`"
            refuse([Mistake(("max_bodies_bytes",), message)])
        return self


class AdminSpec(Spec):
    """The listener for health, readiness, metrics and the admin API."""

    host: BindHost = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=8081, description="Port to listen on; 0 picks a free one.")
    enabled: bool = Field(default=True, description="Whether there is an admin listener at all.")
    keys: KeyHashes | None = Field(
        default=None,
        repr=False,
        description=(
            "Who may use the admin API: the name of each key's holder, and the key's "
            "SHA-256 as `sha256:<64 hex>`. Unset: nobody."
        ),
    )
    hosts: tuple[BindHost, ...] = Field(
        default=(),
        description=(
            "Host names, without a port, by which the admin API may be called, besides "
            "those of this machine and `admin.host`."
        ),
    )


class GatewayKeyAuth(Spec):
    """Callers that show a key of the gateway's own: one written here, or one that is stored."""

    kind: Literal["gateway_key"] = Field(description="A key in `Authorization: Bearer`.")
    keys: KeyHashes | None = Field(
        default=None,
        repr=False,
        description=(
            "The name of each key's holder, and the key's SHA-256 as `sha256:<64 hex>`. "
            "Unset: the keys made with `gateway keys`."
        ),
    )


AuthMethod = Annotated[
    GatewayKeyAuth | JwtAuth | SupabaseCookieAuth | AnonymousAuth, Field(discriminator="kind")
]


class MiddlewareSpec(Spec):
    """An aiohttp middleware of the operator's own, and its place in the chain."""

    use: PluginName = Field(description="What to import, as `module:name`.")
    after: MiddlewareName | None = Field(
        default=None, description="The middleware that it comes right after (further in)."
    )
    before: MiddlewareName | None = Field(
        default=None, description="The middleware that it comes right before (further out)."
    )
    timeout_s: PositiveFloat = Field(
        default=30,
        description="How long it may take, both before it calls the handler and afterwards.",
    )
    optional: bool = Field(
        default=False,
        description="Whether to start without it, with a warning, if it cannot be loaded.",
    )

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if (self.after is None) == (self.before is None):
            raise ValueError("needs either `after` or `before`")
        return self


class CommitSpec(Spec):
    """When the status line leaves at the latest."""

    v1_max_wait_s: PositiveFloat = Field(
        default=10,
        description="On `/v1`: how long the status line of a stream waits for the first content.",
    )
    chat_max_wait_s: PositiveFloat = Field(
        default=45,
        description=(
            "On `/api/chat`: the same. Keep it below nginx's `proxy_read_timeout` (60 s)."
        ),
    )
    keep_alive_comment_s: PositiveFloat = Field(
        default=15, description=("Interval between keep-alive comments in a silent `/v1` stream.")
    )


class Settings(Spec):
    """All of gateway.yaml."""

    server: ServerSpec = Field(default=ServerSpec(), description="The public listener.")
    admin: AdminSpec = Field(
        default=AdminSpec(),
        description="The listener for health, readiness, metrics and the admin API.",
    )
    auth: tuple[AuthMethod, ...] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Who may call; the first method that recognises the caller wins. Without it, "
            "only direct calls from this machine are answered."
        ),
    )
    stores: StoresSpec = Field(
        default=StoresSpec(), description="Where keys, credentials, counters and the ledger are."
    )
    ledger: LedgerSpec = Field(default=LedgerSpec(), description="Who used what, and what it cost.")
    profiles: ProfilesSpec | None = Field(
        default=None,
        description="Where callers' own credentials are. Unset: there are the operator's alone.",
    )
    limits: tuple[LimitSpec, ...] = Field(
        default=(),
        description=(
            "How much callers may use; a request has to pass every rule that applies to it."
        ),
    )
    middleware: tuple[MiddlewareSpec, ...] = Field(
        default=(), description="Your own middlewares, each with its place in the chain."
    )
    overload: OverloadSpec = Field(
        default=OverloadSpec(), description="When less is let in than is asked for."
    )
    commit: CommitSpec = Field(
        default=CommitSpec(), description="When the status line leaves at the latest."
    )
    logging: LoggingSpec = Field(
        default=LoggingSpec(), description="What is logged, and how it looks."
    )
    tracing: TracingSpec | None = Field(
        default=None, description="Where traces are sent, and which. Unset: there are none."
    )

    @property
    def wants_stored_keys(self) -> bool:
        """Whether a method recognises callers by keys of the database."""
        return any(
            method.kind == "gateway_key" and method.keys is None for method in self.auth or ()
        )

    @property
    def rules(self) -> tuple[LimitSpec, ...]:
        """Every rule there is: those of `limits`, and those that `anonymous` brings along."""
        return self.limits + self._anonymous_rules

    @property
    def _anonymous_rules(self) -> tuple[LimitSpec, ...]:
        methods = (m for m in self.auth or () if isinstance(m, AnonymousAuth))
        return tuple(rule for method in methods for rule in method.rules)

    @property
    def caller_digests(self) -> frozenset[str]:
        """The hashes of the callers' keys that are written in the file."""
        return _digests_of(self.auth)

    @property
    def keeps_ledger(self) -> bool:
        """Whether exchanges are booked."""
        if self.ledger.enabled is not None:
            return self.ledger.enabled
        # Whoever says who may call, or how much, wants to know who did.
        is_written = "ledger" in self.model_fields_set
        return is_written or self.wants_stored_keys or bool(self.limits)

    @property
    def token_auth(self) -> tuple[TokenAuth, ...]:
        """The entries of `auth` for tokens that others issue."""
        return tuple(m for m in self.auth or () if isinstance(m, JwtAuth | SupabaseCookieAuth))

    @property
    def profile_prefix(self) -> str:
        """What stands before the subject in the names of those whose profiles are in a table."""
        written = None if self.profiles is None else self.profiles.prefix
        return next(iter(self._profile_prefixes), "") if written is None else written

    @property
    def _profile_prefixes(self) -> list[str]:
        """The prefixes of the entries whose users a table of profiles may be about."""
        cookies = {m.prefix for m in self.token_auth if isinstance(m, SupabaseCookieAuth)}
        return sorted(cookies or {m.prefix for m in self.token_auth})

    @model_validator(mode="after")
    def _knows_whose_profiles(self) -> Self:
        if self.profiles is not None:
            is_table = self.profiles.source == "postgres"
            mistake = self._find_shared_profiles() or (
                self._find_mistake_of_table(self.profiles) if is_table else self._find_nobody()
            )
            if mistake:
                raise ValueError(mistake)
        return self

    def _find_shared_profiles(self) -> str:
        """What is wrong when users of two issuers would share a profile; empty if nothing is."""
        prefixes = {m.prefix for m in self.token_auth}
        # With "" and "x:", the `x:bob` of one issuer is the `bob` of the other.
        if any(a != b and b.startswith(a) for a in prefixes for b in prefixes):
            return (
                "`profiles` are known by their owners' names, and `auth` has an issuer whose "
                "`prefix` begins with that of another, or with none; write one in each that no "
                "other begins with"
            )
        return ""

    def _find_nobody(self) -> str:
        """What is wrong when no caller can have a profile; empty if nothing is."""
        if all(isinstance(method, AnonymousAuth) for method in self.auth or ()):
            return (
                "`profiles` belong to callers who are identified, and none is; `auth` needs an "
                "entry such as {kind: gateway_key}"
            )
        return ""

    def _find_mistake_of_table(self, profiles: ProfilesSpec) -> str:
        """What keeps a table of profiles from being read for the right users; empty for nothing."""
        prefixes = {m.prefix for m in self.token_auth}
        if not prefixes:
            return (
                "`profiles` in a table belong to users with tokens: `auth` needs "
                "`supabase_cookie` or `jwt`"
            )
        if profiles.prefix is None and len(self._profile_prefixes) > 1:
            return (
                "`profiles` does not say whose they are, and `auth` has several issuers; "
                "write `profiles.prefix`"
            )
        if profiles.prefix is not None and profiles.prefix not in prefixes:
            return "`profiles.prefix` is not the `prefix` of any entry in `auth`"
        if profiles.database is None and self.stores.database.startswith("sqlite:"):
            return "`profiles` in a table need `profiles.database`: that of `stores` is SQLite"
        return ""

    @field_validator("auth")
    @classmethod
    def _know_people_apart(
        cls, methods: tuple[AuthMethod, ...] | None, info: ValidationInfo
    ) -> tuple[AuthMethod, ...] | None:
        admin: AdminSpec | None = info.data.get("admin")  # none: it has mistakes of its own
        written = methods or ()
        refuse(
            [
                *_find_shared_names(written),
                *_find_never_asked(written),
                *_find_keys_of_admins(written, (admin and admin.keys) or {}),
            ]
        )
        return methods

    @field_validator("limits")
    @classmethod
    def _are_told_apart(
        cls, limits: tuple[LimitSpec, ...], info: ValidationInfo
    ) -> tuple[LimitSpec, ...]:
        refuse(_find_taken_names(limits, info.data.get("auth") or ()))
        return limits


def _find_shared_names(methods: tuple[AuthMethod, ...]) -> Iterator[Mistake]:
    # `sub` is unique at one issuer and nowhere else (OpenID Connect Core, section 2).
    issuers: dict[str, str] = {}
    for place, method in enumerate(methods):
        if isinstance(method, JwtAuth | SupabaseCookieAuth):
            other = issuers.setdefault(method.prefix, method.issuer)
            if other != method.issuer:
                yield Mistake(
                    (place,),
                    "is the second of two issuers that may give the same name to two people; "
                    "write `prefix` in one of them",
                )


def _find_never_asked(methods: tuple[AuthMethod, ...]) -> Iterator[Mistake]:
    """Whatever stands below `anonymous`, which recognises everybody and is asked before it."""
    is_over = False
    for place, method in enumerate(methods):
        is_anonymous = isinstance(method, AnonymousAuth)
        if is_over and is_anonymous:
            yield Mistake((place,), "admits everybody twice; keep one `anonymous`")
        elif is_over:
            message = "is never asked: `anonymous` above it admits everybody; put that one last"
            yield Mistake((place,), message)
        is_over = is_over or is_anonymous


def _find_keys_of_admins(
    methods: tuple[AuthMethod, ...], of_admins: dict[str, str]
) -> Iterator[Mistake]:
    admins = {digest: name for name, digest in of_admins.items()}
    for place, method in enumerate(methods):
        written = method.keys if isinstance(method, GatewayKeyAuth) else None
        for name, digest in (written or {}).items():
            if digest in admins:
                yield Mistake(
                    (place, "keys", name),
                    f"is the key that `admin.keys` gives to {admins[digest]}; "
                    "a key that goes out with every request is not for administration",
                )


def _find_taken_names(
    limits: tuple[LimitSpec, ...], methods: tuple[AuthMethod, ...]
) -> Iterator[Mistake]:
    anonymous = [rule for one in methods if isinstance(one, AnonymousAuth) for rule in one.rules]
    of_anonymous = {rule.name for rule in anonymous}
    with_money = {rule.name for rule in (*limits, *anonymous) if rule.counts_money}
    seen: set[str] = set()
    for place, limit in enumerate(limits):
        if limit.name in seen:
            message = f"is the second rule with the name {limit.name}; give it another name"
            yield Mistake((place, "name"), message)
        elif limit.name in of_anonymous:
            message = f"{limit.name} is the name of the limits of `anonymous`; give it another"
            yield Mistake((place, "name"), message)
        elif limit.name.removesuffix(MONEY_SUFFIX) in with_money - {limit.name}:
            # Its tokens of a day would be counted, and called in headers, as the other's money is.
            other = limit.name.removesuffix(MONEY_SUFFIX)
            message = f"is what the money of the rule {other} is called; give it another"
            yield Mistake((place, "name"), message)
        seen.add(limit.name)


def _digests_of(methods: tuple[AuthMethod, ...] | None) -> frozenset[str]:
    written = [method for method in methods or () if isinstance(method, GatewayKeyAuth)]
    return frozenset(digest for method in written for digest in (method.keys or {}).values())
