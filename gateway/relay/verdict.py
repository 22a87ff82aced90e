"""Whether a whole reply is a proper answer, and which error it is if not.

The rule here: a provider's 4xx keeps its status, a 5xx keeps it if its body is JSON, and anything
other than what we asked for becomes 502.
"""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    ProviderFault,
    UpstreamBadResponseError,
    UpstreamRedirectError,
    UpstreamStreamError,
)
from gateway.core.usage import Usage, parse_usage
from gateway.upstream.receiver import Headers
from gateway.upstream.response_head import find_header
from gateway.wire.exact_usage import find_usage
from gateway.wire.headers import select_response_headers
from gateway.wire.masking import holds_secret
from gateway.wire.provider_errors import fault_of, is_json, read_fault, upstream_error_of


class Whole(msgspec.Struct, frozen=True):
    """An answer that was collected whole."""

    status: int
    headers: Headers
    body: bytes


class _Choice(msgspec.Struct):
    finish_reason: Any = None
    error: Any = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Any = None
    object: Any = None


_BAD_GATEWAY = HTTPStatus.BAD_GATEWAY.value
_USUAL_CONNECTIONS = frozenset((b"", b"close", b"keep-alive"))
_INITIALS = frozenset((b"r", b"x", b"o", b"a", b"m", b"i"))

_decode_reply = msgspec.json.Decoder(_Reply).decode


def judge_fault(
    fault: Any,  # noqa: ANN401 - the provider's own shape
    label: str,
    secrets: Sequence[str],
    *,
    is_begun: bool,
) -> UpstreamError:
    """The error that ends a stream; `fault` is None if an event could not be read."""
    if fault is None:
        return UpstreamBadResponseError(f"{label} sent an event that cannot be read.")
    said = fault_of({"error": fault}, label=label, secrets=secrets)
    said = said or ProviderFault(f"{label} ended its answer with an error.")
    status = said.status or _BAD_GATEWAY
    if is_begun:
        return UpstreamStreamError(label, status, said)
    # Nothing has been sent yet, so the caller gets it as an ordinary error response.
    return upstream_error_of(status, said, label=label)


def select_headers(headers: Headers, secrets: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The provider's headers that may be passed on to the caller; none quotes a credential."""
    candidates = [
        # Blanks around a value are no part of it (RFC 9110, 5.5), but llhttp keeps trailing ones.
        (name.decode("latin-1"), value.strip(b" \t").decode("latin-1"))
        for name, value in headers
        if name[:1] in _INITIALS  # cheap test that most fail, as content-type, date, server
    ]
    if not candidates:
        return []
    for_this_hop = _name_hop_by_hop(headers)
    if for_this_hop:
        candidates = [header for header in candidates if header[0] not in for_this_hop]
    kept = select_response_headers(candidates)
    return [header for header in kept if not holds_secret(header[1], secrets)]


def _name_hop_by_hop(headers: Headers) -> frozenset[str]:
    """The headers that `Connection` names as meant for this hop only (RFC 9110, 7.6.1)."""
    named = find_header(headers, b"connection").lower()
    if named in _USUAL_CONNECTIONS:
        return frozenset()
    return frozenset(name.strip() for name in named.decode("latin-1").split(","))


def is_error(status: int) -> bool:
    """True for a status that no proper answer has, including redirects."""
    return status >= HTTPStatus.MULTIPLE_CHOICES


def is_event_stream(headers: Headers) -> bool:
    """True for a body of server-sent events."""
    kind = find_header(headers, b"content-type").partition(b";")[0]
    return kind.strip().lower() == b"text/event-stream"


def judge_reply(whole: Whole, *, label: str, secrets: Sequence[str]) -> UpstreamError | None:
    """The error that a whole reply amounts to; None if it may be passed on."""
    if whole.status < HTTPStatus.MULTIPLE_CHOICES:
        return _judge_success(whole, label, secrets)
    if whole.status < HTTPStatus.BAD_REQUEST:
        return UpstreamRedirectError(
            f"{label} answered with a redirect; set base_url to where it leads.",
            detail=f"status {whole.status}",
        )
    fault = read_fault(whole.body, label=label, secrets=secrets)
    status = whole.status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not is_json(whole.body):
        status = HTTPStatus.BAD_GATEWAY.value
    error = upstream_error_of(
        status, fault, label=label, headers=dict(select_headers(whole.headers, secrets))
    )
    error.detail = f"status {whole.status}"
    if find_header(whole.headers, b"x-should-retry").lower() == b"false":
        error.is_retryable = False  # `x-should-retry: false`, which OpenAI's own clients obey too
    return error


def read_usage(whole: Whole) -> Usage | None:
    """The provider's count, from a reply that `judge_reply` accepted."""
    return parse_usage(find_usage(whole.body))


def _judge_success(whole: Whole, label: str, secrets: Sequence[str]) -> UpstreamError | None:
    try:
        reply = _decode_reply(whole.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _judge_odd_success(whole, label, secrets)
    odd = reply.error or reply.object == "error" or reply.choices is None
    odd = odd or any(c.error or c.finish_reason == "error" for c in reply.choices or ())
    return _judge_odd_success(whole, label, secrets) if odd else None


def _judge_odd_success(whole: Whole, label: str, secrets: Sequence[str]) -> UpstreamError | None:
    try:
        value = json.loads(whole.body)
    except (ValueError, RecursionError):
        value = None
    fault = fault_of(value, label=label, secrets=secrets)
    if fault is not None:
        return upstream_error_of(fault.status or HTTPStatus.BAD_GATEWAY, fault, label=label)
    if isinstance(value, dict):
        return None
    kind = find_header(whole.headers, b"content-type").decode("latin-1")[:80]
    return UpstreamBadResponseError(
        f"{label} answered with something that is not a JSON object.",
        detail=f"status {whole.status}, content-type {kind!r}, {len(whole.body)} bytes",
    )
