"""What each path answers when nobody told it anything, and who is let in.

The rule here: refusals have the shape OpenAI gives them, so that its client understands them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.simulator.asking import read_topic
from gateway.simulator.blocks import ErrorReply, HttpStyle
from gateway.simulator.completion import model_card, render_json, render_models
from gateway.simulator.demo import write_demo
from gateway.simulator.directive import Directive
from gateway.simulator.presets import PRESETS

if TYPE_CHECKING:
    from gateway.simulator.asking import Request

CHAT = "/chat/completions"
MODELS = "/models"
MODEL_NAMES = ("demo", *sorted(PRESETS))
# A credential shorter than this is hidden whole.
SHOWN_CREDENTIAL_CHARS = 13


def answer_plainly(request: Request, body: dict[str, Any] | None, gateway_url: str) -> Directive:
    """The answer to a request without a directive."""
    path = request.path.partition("?")[0].rstrip("/")
    if request.method in ("GET", "HEAD"):
        return _list_models(path)
    if request.method != "POST" or not path.endswith(CHAT):
        return _unknown(request.method, path)
    if body is None:
        return refuse(400, "The body is not a JSON object.", "invalid_json")
    if not isinstance(body.get("messages"), list):
        return refuse(400, "Missing required parameter: 'messages'.", "missing_parameter")
    return write_demo(read_topic(body), gateway_url)


def refuse(status: int, message: str, code: str) -> Directive:
    """An error about the request."""
    error = ErrorReply(status=status, message=message, type="invalid_request_error", code=code)
    return Directive(error=error)


def check_credential(request: Request, credential: str | None) -> Directive | None:
    """A 401 as OpenAI gives it, or None when the credential is right or none is needed."""
    if credential is None:
        return None
    given = read_credential(request)
    if given == credential:
        return None
    if given:
        is_long = len(given) >= SHOWN_CREDENTIAL_CHARS
        hidden = f"{given[:5]}****{given[-4:]}" if is_long else "****"
        return refuse(401, f"Incorrect API key provided: {hidden}.", "invalid_api_key")
    error = ErrorReply(
        status=401, message="You did not provide an API key.", type="invalid_request_error"
    )
    return Directive(error=error, http=HttpStyle(headers=(("WWW-Authenticate", "Bearer"),)))


def read_credential(request: Request) -> str:
    """The credential that a request carries; empty when it carries none."""
    return request.header("api-key") or _bearer(request.header("authorization"))


def _bearer(value: str | None) -> str:
    scheme, _, credential = (value or "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def _list_models(path: str) -> Directive:
    if path.endswith(CHAT):
        return refuse(405, "Use POST for chat completions.", "method_not_supported")
    if path.endswith(MODELS):
        return _document(render_models(MODEL_NAMES))
    if MODELS + "/" not in path:
        return _unknown("GET", path)
    name = path.rpartition(MODELS + "/")[2]
    if name in MODEL_NAMES:
        return _document(render_json(model_card(name)))
    return refuse(404, f"The model '{name[:64]}' does not exist.", "model_not_found")


def _document(body: bytes) -> Directive:
    return Directive(body=body.decode(), answer="json")


def _unknown(method: str, path: str) -> Directive:
    shown = path[:128] or "/"
    return refuse(404, f"Unknown request URL: {method} {shown}.", "unknown_url")
