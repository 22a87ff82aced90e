"""Errors as bytes, in the caller's dialect.

The rule here: the text comes from `public` and the provider's cleaned fault, never from `detail`
or an exception's own text.
"""

import json
from typing import Any, Literal

from gateway.core.errors import GatewayError
from gateway.core.upstream_errors import UpstreamAnswerError, UpstreamCredentialError
from gateway.wire.fault_status import says_incorrect_key

IncorrectKeyRule = Literal["status", "text", "never"]


def render_openai(error: GatewayError, request_id: str, *, is_own: bool = False) -> bytes:
    """`{"error": {message, type, param, code, …}, "request_id"}`, as OpenAI's clients read it.

    `is_own` says that the credential sent to the provider is the caller's own.
    """
    members: dict[str, Any] = {
        "message": _message_of(error, is_own=is_own),
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    if isinstance(error, UpstreamAnswerError):
        fault = error.fault
        members["type"] = fault.type or error.type
        if fault.code is not None and not isinstance(error, UpstreamCredentialError):
            members["code"] = fault.code
        members |= {name: value for name, value in fault.extra.items() if name not in members}
    return _compact({"error": members, "request_id": request_id})


def render_openai_event(error: GatewayError, request_id: str) -> bytes:
    """The same as a server-sent event, for a stream that has begun."""
    return b"data: " + render_openai(error, request_id) + b"\n\n"


def render_text(
    error: GatewayError,
    request_id: str,
    *,
    provider_label: str = "",
    incorrect_key: IncorrectKeyRule = "status",
) -> bytes:
    """`{"message", "error": {code, type, request_id}}`, as the chat front end reads it."""
    message = error.public
    if isinstance(error, UpstreamAnswerError):
        message = f"{error.status} {error.public}"
        if _is_incorrect_key(error, incorrect_key):
            message = incorrect_key_sentence(provider_label or error.label)
    inner = {"code": error.code, "type": error.type, "request_id": request_id}
    return _compact({"message": message, "error": inner})


def missing_key_sentence(label: str) -> str:
    """What the chat front end shows if no credential is configured."""
    return f"{label} API Key not found. Please set it in your profile settings."


def incorrect_key_sentence(label: str) -> str:
    """What the chat front end shows if the provider refuses the credential."""
    return f"{label} API Key is incorrect. Please fix it in your profile settings."


def _message_of(error: GatewayError, *, is_own: bool) -> str:
    if isinstance(error, UpstreamCredentialError):
        # Without this a caller reads "incorrect API key" and checks the wrong one.
        whose = "the key in your profile" if is_own else "the gateway's credential"
        return f"{error.label} does not accept {whose}: {error.public}"
    return error.public


def _is_incorrect_key(error: UpstreamAnswerError, rule: IncorrectKeyRule) -> bool:
    match rule:
        case "status":
            return isinstance(error, UpstreamCredentialError)
        case "text":
            return says_incorrect_key(error.fault)
        case "never":
            return False


def _compact(value: dict[str, Any]) -> bytes:
    # A lone surrogate in our message would turn a 400 into a 500; escaped, it is still JSON.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="backslashreplace")
