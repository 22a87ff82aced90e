"""Error bodies in the shapes that providers send, seen in real traffic or their documents.

The rule here: a shape is data about one provider; nothing is unified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.simulator.completion import render_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.simulator.blocks import ErrorReply, Json, StreamError

JSON_TYPE = "application/json"
SERVER_ERROR = ("server_error", None, "The simulated server had an error.")
# status: type, code, message, as OpenAI-type hosts put them.
USUAL: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", "invalid_value", "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-sim****."),
    402: ("billing_error", "insufficient_balance", "The balance is used up."),
    403: ("permission_error", "permission_denied", "This key may not use this model."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    408: ("timeout_error", "request_timeout", "The request took too long."),
    409: ("conflict_error", "conflict", "The resource was changed by someone else."),
    412: ("invalid_request_error", "account_suspended", "The account is suspended."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    422: ("invalid_request_error", "unprocessable", "Extra inputs are not permitted."),
    424: ("invalid_request_error", "failed_dependency", "A tool of the request failed."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again in 2s."),
    498: ("capacity_error", "capacity_exceeded", "The flex tier is at capacity."),
    499: ("request_cancelled", "request_cancelled", "The request was cancelled."),
    501: ("not_supported_error", "not_supported", "This is not supported here."),
    503: ("server_error", "service_unavailable", "The model is overloaded."),
    504: ("server_error", "timeout", "The model did not answer in time."),
    520: ("server_error", "unknown", "The edge got an unknown error."),
    524: ("server_error", "edge_timeout", "The edge got no answer in time."),
    529: ("overloaded_error", "overloaded", "The provider is overloaded."),
}
# What Google calls a status, by HTTP status.
GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
HTML_PAGE = (
    "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1>"
    "</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error says, before it has a shape."""

    status: int
    type: str
    code: str | int | None
    message: str

    @property
    def detail(self) -> list[Json]:
        """The error as a list of rejected fields."""
        return [{"type": "extra_forbidden", "loc": ["body"], "msg": self.message, "input": None}]

    @property
    def inner(self) -> Json:
        """The three fields most hosts agree on."""
        return {"message": self.message, "type": self.type, "code": self.code}


SHAPES: dict[str, Callable[[Fault], Any]] = {
    "openai": lambda f: {"error": {**f.inner, "param": None}},
    "octet_stream": lambda f: {"error": {**f.inner, "param": None}},
    "groq": lambda f: {"error": f.inner},
    "groq_tool_use_failed": lambda f: {"error": {**f.inner, "failed_generation": "<tool>"}},
    "openrouter": lambda f: {
        "error": {
            "code": f.code if isinstance(f.code, int) else f.status,
            "message": "Provider returned error",
            "metadata": {"provider_name": "Simulator", "raw": f.message},
        },
        "user_id": "user_sim",
    },
    "mistral": lambda f: {"object": "error", **f.inner, "param": None},
    "mistral_message_object": lambda f: {
        "object": "error",
        **f.inner,
        "message": {"detail": f.detail},
        "param": None,
    },
    "mistral_message_list": lambda f: {
        "object": "Error",
        "detail": f.detail,
        "message": f.detail,
        "type": f.type,
        "code": f.code if isinstance(f.code, int) else 3001,
    },
    "mistral_detail": lambda f: {"detail": f.detail},
    "string": lambda f: {"error": f.message},
    "xai": lambda f: {"code": "Client specified an invalid argument", "error": f.message},
    "gemini": lambda f: {"error": _google(f)},
    "gemini_list": lambda f: [{"error": _google(f)}],
    "anthropic": lambda f: {
        "type": "error",
        "error": {"type": f.type, "message": f.message},
        "request_id": "req_sim1",
    },
    "cohere": lambda f: {"id": "sim1", "message": f.message},
    "message": lambda f: {"message": f.message},
    "vllm": lambda f: {"error": {**f.inner, "param": None, "code": f.status}},
    "llamacpp": lambda f: {"error": {"code": f.status, "message": f.message, "type": f.type}},
}
CONTENT_TYPES = {
    "html": "text/html",
    "text": "text/plain; charset=utf-8",
    "octet_stream": "application/octet-stream",
}


def render_error(error: ErrorReply) -> tuple[str, bytes]:
    """Content type and body of an error."""
    kind, code, message = USUAL.get(error.status, SERVER_ERROR)
    if error.shape == "groq_tool_use_failed":
        code = "tool_use_failed"
    fault = Fault(
        status=error.status,
        type=kind if error.type is None else error.type,
        code=code if error.code is None else error.code,
        message=message if error.message is None else error.message,
    )
    return CONTENT_TYPES.get(error.shape, JSON_TYPE), _render_body(error.shape, fault)


def _render_body(shape: str, fault: Fault) -> bytes:
    if shape == "empty":
        return b""
    if shape == "text":
        return fault.message.encode()
    if shape == "html":
        return HTML_PAGE.format(status=fault.status).encode()
    return render_json(SHAPES[shape](fault))


def _google(fault: Fault) -> Json:
    status = GOOGLE_STATUS.get(fault.status, "INTERNAL")
    return {"code": fault.status, "message": fault.message, "status": status}


def stream_error_payload(error: StreamError) -> Json:
    """The error object inside an event of a stream."""
    if error.shape == "groq":
        return {
            "message": error.message,
            "type": "invalid_request_error",
            "code": error.code or "tool_use_failed",
            "failed_generation": "<tool>",
            "status_code": 400,
        }
    if error.shape.startswith("openrouter"):
        code = 502 if error.code is None else error.code
        return {"code": code, "message": error.message, "metadata": {"provider_name": "Simulator"}}
    return {"message": error.message, "type": "server_error", "param": None, "code": error.code}
