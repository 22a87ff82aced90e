"""What may be written for callers with a token that somebody else issued.

Rule: all that a token is held against stands here; nothing of it is read from a token.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from gateway.config import forms
from gateway.config.addresses import check_base_url
from gateway.config.credentials import check_reference
from gateway.config.spec import Spec

HMAC_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # at least (RFC 7518 section 3.2)
LEEWAY_MAX_S = 60

# No "none", and of ECDSA only the curves that issuers use.
Algorithm = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "HS256",
    "HS384",
    "HS512",
]
ClaimPath = Annotated[str, StringConstraints(pattern=forms.CLAIM_PATH)]
CookieName = Annotated[str, StringConstraints(pattern=forms.COOKIE_NAME)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2000)]

Algorithms = Annotated[
    tuple[Algorithm, ...],
    Field(
        min_length=1,
        description=(
            "How the tokens are signed; no other algorithm is accepted, whatever a token says."
        ),
    ),
]
SecretReference = Annotated[
    SecretStr | None,
    Field(
        description=(
            "The secret that the issuer signs with: `${VARIABLE}` or "
            "`file:/absolute/path`. Only for HS256, HS384 and HS512. The secret itself "
            "may be written here only if the mode of this file is 0600."
        )
    ),
]
AllowPrivate = Annotated[
    bool,
    Field(
        description=(
            "Whether the issuer's keys may be fetched from a private or loopback address, "
            "or without TLS."
        )
    ),
]
CaFile = Annotated[
    Path | None,
    Field(
        description=(
            "Absolute path of a PEM file with the certificate authorities to trust when "
            "fetching the keys, instead of the system's."
        )
    ),
]
Prefix = Annotated[
    str,
    StringConstraints(pattern=forms.PRINCIPAL_PREFIX),
    Field(
        description=(
            "Text put before every principal's name, so that the names of two issuers "
            "cannot collide."
        )
    ),
]
LeewayS = Annotated[
    float,
    Field(
        ge=0,
        le=LEEWAY_MAX_S,
        description="How far the issuer's clock may differ from the gateway's.",
    ),
]


class ClaimsSpec(Spec):
    """Which claims say who is calling."""

    principal: ClaimPath = Field(default="sub", description="Claim with the caller's name.")
    tenant: ClaimPath | None = Field(
        default=None,
        description=(
            "Claim with the caller's tenant, such as `app_metadata.org`. A token without "
            "it is refused."
        ),
    )
    groups: ClaimPath | None = Field(
        default=None,
        description="Claim with the list of the caller's groups, such as `realm_access.roles`.",
    )


Claims = Annotated[ClaimsSpec, Field(description="Which claims say who is calling.")]


class SignedAuth(Spec):
    """What holds for every sort of token; the fields are those of the two blocks below."""

    @field_validator("algorithms", check_fields=False)
    @classmethod
    def _are_of_one_sort(cls, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        if len({_is_hmac(name) for name in algorithms}) > 1:
            raise ValueError(
                "mixes HMAC (HS…) with signatures: whoever knows the public key could then sign; "
                "write two entries"
            )
        return algorithms

    @field_validator("secret", check_fields=False)
    @classmethod
    def _is_a_reference(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            check_reference(secret.get_secret_value())
        return secret


class JwtAuth(SignedAuth):
    """Callers with a token of one issuer, such as an OpenID Connect provider."""

    kind: Literal["jwt"] = Field(description="A signed token in `Authorization: Bearer`.")
    issuer: Url = Field(description="Who issues the tokens: exactly the value of `iss`.")
    audience: str = Field(
        min_length=1, max_length=1000, description="Who the tokens are for: the value of `aud`."
    )
    algorithms: Algorithms
    jwks_url: Url | None = Field(
        default=None,
        description=(
            "Where the issuer publishes its keys. Unset: where its "
            "`/.well-known/openid-configuration` says."
        ),
    )
    secret: SecretReference = None
    claims: Claims = ClaimsSpec()
    prefix: Prefix = ""
    leeway_s: LeewayS = 30
    allow_private: AllowPrivate = False
    ca_file: CaFile = None

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        _check_key_source(self.algorithms, self.secret, self.jwks_url)
        if self.secret is None:
            url = self.jwks_url or self.issuer
            name = "jwks_url" if self.jwks_url else "issuer"
            _check_named(name, url, allow_private=self.allow_private)
        return self


class SupabaseCookieAuth(SignedAuth):
    """Callers with the session cookie of a front end on Supabase, such as chatbot-ui."""

    kind: Literal["supabase_cookie"] = Field(
        description="The session cookie that Supabase's libraries set."
    )
    url: Url = Field(
        description="The address of the project: the front end's `NEXT_PUBLIC_SUPABASE_URL`."
    )
    secret: SecretReference = None
    algorithms: Algorithms = Field(
        default_factory=lambda fields: (
            ("ES256", "RS256") if fields["secret"] is None else ("HS256",)
        ),
        min_length=1,
        description="How its tokens are signed; no other algorithm is accepted, whatever a token "
        "says. Default: `HS256` with a `secret`, else `ES256` and `RS256`.",
    )
    jwks_url: Url | None = Field(
        default_factory=lambda fields: (
            _join(fields["url"], "/auth/v1/.well-known/jwks.json")
            if fields["secret"] is None
            else None
        ),
        description="Where the project publishes its keys. "
        "Default: `<url>/auth/v1/.well-known/jwks.json`, nowhere with a `secret`.",
    )
    issuer: Url = Field(
        default_factory=lambda fields: _join(fields["url"], "/auth/v1"),
        description="Exactly the value of `iss` in its tokens. Default: `<url>/auth/v1`.",
    )
    audience: str = Field(
        default="authenticated",
        min_length=1,
        max_length=1000,
        description="Who the tokens are for: the value of `aud`.",
    )
    cookie: CookieName = Field(
        default_factory=lambda fields: _cookie_of(fields["url"]),
        description=(
            "Name of the cookie, without the number of a part. Default: `sb-<first word "
            "of the host>-auth-token`."
        ),
    )
    claims: Claims = ClaimsSpec()
    prefix: Prefix = ""
    leeway_s: LeewayS = 30
    allow_private: AllowPrivate = False
    ca_file: CaFile = None

    @field_validator("url")
    @classmethod
    def _has_a_host(cls, url: str) -> str:
        check_base_url(url, allow_private=True)  # it is only fetched from where there is no secret
        return url

    @field_validator("claims")
    @classmethod
    def _are_not_the_users_own(cls, claims: ClaimsSpec) -> ClaimsSpec:
        for path in (claims.principal, claims.tenant, claims.groups):
            if path is not None and path.split(".")[0] == "user_metadata":
                raise ValueError(
                    "reads user_metadata, which users can change themselves; use app_metadata"
                )
        return claims

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        _check_key_source(self.algorithms, self.secret, self.jwks_url)
        if self.jwks_url is not None:
            _check_named("jwks_url", self.jwks_url, allow_private=self.allow_private)
        return self


TokenAuth = JwtAuth | SupabaseCookieAuth


def check_key_url(url: str, *, allow_private: bool) -> None:
    """Raise ValueError with the reason when keys must not be fetched from this URL."""
    # Some issuers have a query in the address of their keys; it may hold what a path may.
    check_base_url(url.replace("?", "/", 1), allow_private=allow_private)
    if urlsplit(url).scheme != "https" and not allow_private:
        raise ValueError(
            "needs to start with https://, or anybody on the way could put in keys of their own; "
            "say allow_private: true where that is a network of yours"
        )


def _check_key_source(
    algorithms: tuple[str, ...], secret: SecretStr | None, jwks_url: str | None
) -> None:
    """Raise ValueError when the keys are not those that the algorithms need."""
    if secret is not None and jwks_url is not None:
        raise ValueError("has both `secret` and `jwks_url`; write one")
    is_hmac = any(_is_hmac(name) for name in algorithms)
    if is_hmac and secret is None:
        raise ValueError("needs `secret`: the keys of HS256, HS384 and HS512 are never published")
    if secret is not None and not is_hmac:
        raise ValueError("needs HS256, HS384 or HS512 in `algorithms`: a `secret` is for those")


def check_strength(secret: SecretStr, algorithms: Iterable[str]) -> None:
    """Raise ValueError when a secret is so short that it can be found by trying."""
    needed = max(HMAC_SECRET_BYTES.get(name, 0) for name in algorithms)
    if len(secret.get_secret_value().encode()) < needed:
        raise ValueError(f"is too short: {needed} bytes are needed")


def _check_named(name: str, url: str, *, allow_private: bool) -> None:
    """Raise ValueError that names the field when keys must not be fetched from its URL."""
    try:
        check_key_url(url, allow_private=allow_private)
    except ValueError as error:
        raise ValueError(f"`{name}` {error}") from None


def _is_hmac(algorithm: str) -> bool:
    return algorithm in HMAC_SECRET_BYTES


def _join(url: Any, path: str) -> str:  # noqa: ANN401 - pydantic's fields so far
    return str(url).rstrip("/") + path


def _cookie_of(url: Any) -> str:  # noqa: ANN401 - pydantic's fields so far
    host = urlsplit(str(url)).hostname or ""
    return f"sb-{re.split(r'[.:]', host)[0]}-auth-token"
