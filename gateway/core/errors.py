"""Every error the gateway can answer with, by whose fault it is.

GatewayError
├── DownstreamError   the caller can fix it
├── UpstreamError     the provider failed us (subclasses: core.upstream_errors)
└── InternalError     we failed, or the operator left something out

The rule here: `code` values are a closed list. A class has `status`, `code` and `type`; an instance
has `public` (safe to send, says what to do next) and `detail` (for the log).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from gateway.core.retry_after import come_back

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class GatewayError(Exception):
    """An error with a status, a code of the closed list and a sentence for the caller."""

    status: int = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "internal_error"

    def __init__(
        self,
        public: str,
        *,
        detail: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(public)
        self.public = public
        self.detail = detail
        self.param = param
        self.headers = headers


class DownstreamError(GatewayError):
    """The caller sent something that only the caller can mend."""

    status = 400
    code: ClassVar[str] = "invalid_request"
    type: ClassVar[str] = "invalid_request_error"


class InvalidRequestError(DownstreamError):
    """A field is missing, of the wrong type or out of range."""


class InvalidJsonError(DownstreamError):
    """The body is not the strict JSON we accept."""

    code = "invalid_json"


class InvalidPathError(DownstreamError):
    """The raw path holds something that two servers could read in two ways."""

    code = "invalid_path"


class MalformedRequestError(DownstreamError):
    """The bytes are not an HTTP request we accept."""

    code = "malformed_request"


class RequestLoopError(DownstreamError):
    """It has come through so many gateways that it goes round in a circle."""

    code = "request_loop"


class AmbiguousAuthError(DownstreamError):
    """Two credentials in one request: which one counts is anybody's guess."""

    code = "ambiguous_auth"


class UnauthenticatedError(DownstreamError):
    """We do not know who is calling."""

    status = 401
    code = "unauthenticated"
    type = "authentication_error"


class OriginRefusedError(DownstreamError):
    """A browser page of an origin that is not on the allow-list."""

    status = 403
    code = "origin_refused"
    type = "permission_error"


class ProviderNotAllowedError(DownstreamError):
    """The caller's key is not for this provider."""

    status = 403
    code = "provider_not_allowed"
    type = "permission_error"


class ModelNotAllowedError(DownstreamError):
    """The caller's key is not for this model."""

    status = 403
    code = "model_not_allowed"
    type = "permission_error"


class AddressNotAllowedError(DownstreamError):
    """The caller's key is not for the network that the call comes from."""

    status = 403
    code = "address_not_allowed"
    type = "permission_error"


class TooManyWrongKeysError(DownstreamError):
    """So many wrong keys came from one address; `Retry-After` says when to come back."""

    status = 429
    code = "too_many_wrong_keys"
    type = "rate_limit_error"


class NoProfileError(DownstreamError):
    """The caller has no profile: only who is signed in has one."""

    status = 403
    code = "no_profile"
    type = "permission_error"


class CredentialUnusableError(DownstreamError):
    """The caller's own credential cannot be sent as it stands, or lacks what belongs to it."""

    code = "credential_unusable"


class NotFoundError(DownstreamError):
    """No such path."""

    status = 404
    code = "not_found"


class ProviderNotFoundError(NotFoundError):
    """No such provider in the registry."""

    code = "provider_not_found"


class ModelNotFoundError(NotFoundError):
    """No such model."""

    code = "model_not_found"


class CredentialNotSetError(NotFoundError):
    """The caller's profile has no credential for this provider."""

    code = "credential_not_set"


class MethodNotAllowedError(DownstreamError):
    """The path is right, the method is not; `Allow` says which are."""

    status = 405
    code = "method_not_allowed"


class RequestTimeoutError(DownstreamError):
    """The body did not arrive in time."""

    status = 408
    code = "request_timeout"


class BodyTooLargeError(DownstreamError):
    """The body is larger than `server.max_body_bytes`."""

    status = 413
    code = "body_too_large"


class UnsupportedEncodingError(DownstreamError):
    """A compressed or otherwise encoded request body."""

    status = 415
    code = "unsupported_encoding"


class BodyLimitExceededError(DownstreamError):
    """The body is larger than a rule of `limits` allows this caller."""

    status = 413
    code = "body_limit_exceeded"


class OutputLimitExceededError(DownstreamError):
    """A longer answer is asked for than a rule of `limits` allows."""

    code = "output_limit_exceeded"


class RequestNeverFitsError(DownstreamError):
    """The request needs more tokens than a rule of `limits` ever lets through at once."""

    code = "request_never_fits"


class RequestRateExceededError(DownstreamError):
    """More requests a minute than a rule of `limits` lets in."""

    status = 429
    code = "request_rate_exceeded"
    type = "rate_limit_error"


class TokenRateExceededError(DownstreamError):
    """More tokens a minute than a rule of `limits` lets through."""

    status = 429
    code = "token_rate_exceeded"
    type = "rate_limit_error"


class ConcurrencyExceededError(DownstreamError):
    """More requests at a time than a rule of `limits` has places for."""

    status = 429
    code = "concurrency_exceeded"
    type = "rate_limit_error"


class TokenQuotaExceededError(DownstreamError):
    """The tokens that a rule of `limits` gives for a day or a month are used up."""

    status = 429
    code = "token_quota_exceeded"
    type = "rate_limit_error"


class ModelUnpricedError(DownstreamError):
    """A rule of `limits` counts money, and nobody knows what this model costs."""

    status = 403
    code = "model_unpriced"
    type = "permission_error"


class BudgetExceededError(DownstreamError):
    """The money that a rule of `limits` gives for a day or a month is spent."""

    status = 402
    code = "budget_exceeded"
    type = "billing_error"


class UpstreamError(GatewayError):
    """The provider failed us; `is_retryable` says whether another attempt may help."""

    status = 502
    code: ClassVar[str] = "upstream_error"
    type: ClassVar[str] = "upstream_error"
    is_retryable: bool = False
    is_ours: bool = False  # this machine ran out of files, threads or ports


class InternalError(GatewayError):
    """We failed; the sentence says nothing of the inside."""


class PluginFailedError(InternalError):
    """A middleware of the operator's own made a mistake, or took too long."""

    code = "plugin_error"


class CredentialNotFoundError(InternalError):
    """The provider needs a credential and none is configured."""

    code = "credential_not_found"


class CredentialsRefusedError(InternalError):
    """The provider accepts none of the credentials of its pool; none was shown to it now."""

    code = "credentials_refused"


class CredentialsRestingError(InternalError):
    """Every credential of the pool waits for the provider's rate limit; see `Retry-After`."""

    status = 429
    code = "credentials_resting"
    type = "rate_limit_error"


class CredentialsSpentError(InternalError):
    """The quota of every credential of the pool is used up."""

    status = 429
    code = "credentials_spent"
    type = "rate_limit_error"


class CredentialUnavailableError(InternalError):
    """Where the caller's credentials are cannot be asked just now; whether there is one is open."""

    status = 503
    code = "credential_unavailable"
    type = "overloaded_error"


class AuthUnavailableError(InternalError):
    """What says who is calling cannot be asked just now; whether they may is not known."""

    status = 503
    code = "auth_unavailable"
    type = "overloaded_error"


class LimitsUnavailableError(InternalError):
    """What limits are counted in cannot be asked just now, and a rule lets nobody in without."""

    status = 503
    code = "limits_unavailable"
    type = "overloaded_error"


class AccountingUnavailableError(InternalError):
    """Nothing can be booked just now, and `ledger.on_full` wants no request that is not."""

    status = 503
    code = "accounting_unavailable"
    type = "overloaded_error"


class ProviderBusyError(InternalError):
    """All connections the registry allows to this provider are in use."""

    status = 503
    code = "provider_busy"
    type = "overloaded_error"


class ProviderUnavailableError(InternalError):
    """The provider, or this model of it, has failed nearly every attempt; none is made just now."""

    status = 503
    code = "provider_unavailable"
    type = "overloaded_error"


class OverloadedError(InternalError):
    """The gateway has as much in hand as it can hold; `Retry-After` says when to come back."""

    status = 503
    code = "overloaded"
    type = "overloaded_error"


class ShuttingDownError(InternalError):
    """The gateway is stopping and takes no new exchange."""

    status = 503
    code = "server_shutdown"
    type = "overloaded_error"


def shutting_down() -> ShuttingDownError:
    """The error for a request that can no longer be completed."""
    return ShuttingDownError("The gateway is shutting down; try again.", headers=come_back())
