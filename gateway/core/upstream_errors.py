"""How a provider can fail us: the second branch of `core.errors`, one class per cause.

The rule here: a message names the provider by its label and never quotes a credential.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.errors import NO_HEADERS, UpstreamError


class UpstreamConnectError(UpstreamError):
    """No connection: refused or unreachable."""

    code = "upstream_connect"
    is_retryable = True


class UpstreamHungUpError(UpstreamConnectError):
    """There was a connection, and it closed before the first byte of an answer."""


class UpstreamConnectTimeoutError(UpstreamError):
    """No connection within `timeouts.connect_s`."""

    status = 504
    code = "upstream_connect_timeout"
    is_retryable = True


class UpstreamDnsError(UpstreamError):
    """The host of `base_url` has no address."""

    code = "upstream_dns"
    is_retryable = True


class UpstreamAddressError(UpstreamError):
    """The host resolves to an address that the registry does not allow."""

    code = "upstream_address_refused"


class UpstreamTlsError(UpstreamError):
    """No TLS: the certificate is not acceptable, or the handshake failed or took too long."""

    code = "upstream_tls"


class UpstreamRequestTimeoutError(UpstreamError):
    """The provider did not take our request body within `timeouts.request_body_s`."""

    status = 504
    code = "upstream_request_timeout"


class UpstreamFirstContentTimeoutError(UpstreamError):
    """No content within `timeouts.first_content_s`."""

    status = 504
    code = "upstream_first_content_timeout"


class UpstreamIdleTimeoutError(UpstreamError):
    """Nothing but silence or keep-alives for `timeouts.idle_s`."""

    status = 504
    code = "upstream_idle_timeout"


class UpstreamTotalTimeoutError(UpstreamError):
    """The exchange took longer than `timeouts.total_s`."""

    status = 504
    code = "upstream_total_timeout"


class UpstreamProtocolError(UpstreamError):
    """The provider's bytes are not HTTP/1.1 as we accept it."""

    code = "upstream_protocol_error"


class UpstreamRedirectError(UpstreamError):
    """A redirect: following it would hand the credential and the prompt to somebody else."""

    code = "upstream_redirect"


class UpstreamBadResponseError(UpstreamError):
    """HTTP was fine, the content is not an answer (HTML, empty, wrong type)."""

    code = "upstream_bad_response"


class UpstreamReplyTooLargeError(UpstreamError):
    """The reply is larger than `server.max_reply_bytes` or `server.max_stream_bytes`."""

    code = "upstream_reply_too_large"


class UpstreamCutError(UpstreamError):
    """The connection ended in the middle of an answer."""

    code = "upstream_cut"
    is_retryable = True


class UpstreamTruncatedError(UpstreamError):
    """The framing ended cleanly, but neither `[DONE]` nor every finish reason had come."""

    code = "upstream_truncated"
    is_retryable = True


@dataclass(frozen=True, slots=True)
class ProviderFault:
    """What a provider said in an error body or an error event, whatever its shape."""

    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    status: int | None = None  # some say it only in the body
    extra: Mapping[str, Any] = field(default_factory=dict)  # failed_generation, metadata, …


class UpstreamAnswerError(UpstreamError):
    """The provider answered with an error, by status or inside a 200."""

    def __init__(
        self,
        label: str,
        status: int,
        fault: ProviderFault,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(fault.message, param=fault.param, headers=headers)
        self.label = label
        self.status = status
        self.fault = fault


class UpstreamRejectedError(UpstreamAnswerError):
    """4xx: the provider does not accept this request."""

    code = "upstream_rejected"
    type = "invalid_request_error"


class UpstreamCredentialError(UpstreamAnswerError):
    """401: the provider does not accept the operator's credential (not the caller's key)."""

    code = "upstream_credential_rejected"
    type = "authentication_error"


class UpstreamRateLimitError(UpstreamAnswerError):
    """429: the provider's limit, not ours."""

    code = "upstream_rate_limited"
    type = "rate_limit_error"


class UpstreamServerError(UpstreamAnswerError):
    """5xx: the provider is in trouble."""

    code = "upstream_server_error"


class UpstreamStreamError(UpstreamAnswerError):
    """An error event inside a stream that began as a success."""

    code = "upstream_error_in_stream"
