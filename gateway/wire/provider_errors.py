"""Reading providers' errors, in any of the formats they use.

The rule here: nothing raises and nothing leaks. Every body becomes one readable sentence
without markup, control characters or credentials.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from gateway.core.errors import NO_HEADERS
from gateway.core.upstream_errors import (
    ProviderFault,
    UpstreamAnswerError,
    UpstreamCredentialError,
    UpstreamRateLimitError,
    UpstreamRejectedError,
    UpstreamServerError,
)
from gateway.wire.clean_text import clean_text, clean_value
from gateway.wire.fault_status import STATUS_OF_WORD, is_credential_refused, is_quota
from gateway.wire.sse import EventSplitter, parse_event

__all__ = [
    "fault_of",
    "is_bare_error",
    "is_json",
    "is_quota",
    "read_fault",
    "upstream_error_of",
]

MAX_READ_BYTES: Final = 256 * 1024
_MAX_QUOTED_CHARS: Final = 200
_MAX_CODE_CHARS: Final = 200
_MAX_PARTS: Final = 5
_MAX_TEXT_DEPTH: Final = 4

# The extra fields of errors that are useful to a caller. It is an allow-list, because the
# operator's account and organisation ids are found beside these.
_EXTRA: Final = (
    "failed_generation",
    "metadata",
    "availability",
    "status",
    "details",
    "innererror",
    "content_filter_result",
    "n_prompt_tokens",
    "n_ctx",
)
# Cloudflare and watsonx have a list, `errors`; AWS says `Message` if Bedrock is not reached.
_MESSAGE_FIELDS: Final = (
    "message",
    "msg",
    "detail",
    "error",
    "reason",
    "title",
    "errors",
    "Message",
)
_STATUS_FIELDS: Final = ("status_code", "status", "code", "http_status")
_FIELDS: Final = ("data:", "event:", "id:", "retry:", ":")  # the ways an event stream begins
_RETRYABLE: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
)
_ERROR_STATUSES: Final = range(400, 600)
_SERVER_STATUSES: Final = range(500, 600)
_STATUS_TEXTS: Final = frozenset(str(status) for status in _ERROR_STATUSES)


def read_fault(body: bytes, *, label: str, secrets: Sequence[str] = ()) -> ProviderFault:
    """What the body of a failed answer says, with the credentials in `secrets` removed."""
    text = _text_of_body(body)
    try:
        value = _load(text)
    except (ValueError, RecursionError):
        return ProviderFault(_describe_text(text, label, secrets))
    if isinstance(value, list) and len(value) > 0:
        value = value[0]  # Gemini's OpenAI-compatible endpoint wraps its errors in a list
    if isinstance(value, str):
        return ProviderFault(_describe_text(value, label, secrets))
    if not isinstance(value, dict):
        return ProviderFault(f"{label} answered with an error and no message.")
    return _read_error(value, label, secrets)


def is_json(body: bytes) -> bool:
    """Whether a failed answer is JSON, in an event or not; an HTML page is from something else."""
    text = _text_of_body(body)
    try:
        _load(text)
    except (ValueError, RecursionError):
        return False
    return True


def fault_of(value: object, *, label: str, secrets: Sequence[str] = ()) -> ProviderFault | None:
    """The error in a decoded chunk or reply; None if there is none."""
    if isinstance(value, list) and len(value) > 0:
        value = value[0]
    if not isinstance(value, dict):
        return None
    if value.get("error") or is_bare_error(value):
        return _read_error(value, label, secrets)
    groq = value.get("x_groq")
    if isinstance(groq, dict) and groq.get("error"):
        return _read_error({"error": groq["error"]}, label, secrets)
    return _fault_of_choices(value.get("choices"), label, secrets)


def is_bare_error(value: dict[str, Any]) -> bool:
    """Whether an object without an `error` field is an error, as from Mistral, Cohere, Bedrock."""
    if value.get("object") in ("error", "Error"):
        return True
    if "choices" in value:
        return False
    message, detail = value.get("message"), value.get("detail")
    return bool(
        (isinstance(message, str) and message) or (isinstance(detail, str | list) and detail)
    )


def upstream_error_of(
    status: int,
    fault: ProviderFault,
    *,
    label: str,
    headers: Mapping[str, str] = NO_HEADERS,
) -> UpstreamAnswerError:
    """The error for an answer with this status; if that is no error status, the fault's or 502."""
    if status not in _ERROR_STATUSES:
        status = fault.status or HTTPStatus.BAD_GATEWAY.value
    error = _class_of(status, fault)(label, status, fault, headers=headers)
    may_pass = status in _RETRYABLE or status in _SERVER_STATUSES
    error.is_retryable = may_pass and not is_quota(fault)
    return error


def _load(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON of a failed answer; not strict, as hand-written ones have line ends in strings."""
    return json.loads(_find_event(text) or text, strict=False)


def _text_of_body(body: bytes) -> str:
    return body[:MAX_READ_BYTES].decode(errors="replace").strip("\ufeff \t\r\n")


def _class_of(status: int, fault: ProviderFault) -> type[UpstreamAnswerError]:
    # Gemini refuses a wrong key with 400 and some others with 403, but it is still a wrong key.
    refused = status in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
    if status == HTTPStatus.UNAUTHORIZED or (refused and is_credential_refused(fault)):
        return UpstreamCredentialError
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return UpstreamRateLimitError
    return UpstreamServerError if status in _SERVER_STATUSES else UpstreamRejectedError


def _fault_of_choices(choices: object, label: str, secrets: Sequence[str]) -> ProviderFault | None:
    if not isinstance(choices, list):
        return None
    for choice in choices:
        if isinstance(choice, dict) and (
            choice.get("error") or choice.get("finish_reason") == "error"
        ):
            return _read_error({"error": choice.get("error")}, label, secrets)
    return None


def _read_error(value: dict[str, Any], label: str, secrets: Sequence[str]) -> ProviderFault:
    inner = value.get("error")
    error = inner if isinstance(inner, dict) else value
    text = _text_of(error)
    message = clean_text(text, secrets=secrets) if text else ""
    return ProviderFault(
        message=_without_markup(message, label)
        or f"{label} answered with an error and no message.",
        type=_word_of(error.get("type"), secrets) or _status_word_of(error, secrets),
        code=_word_of(error.get("code"), secrets),
        param=_word_of(error.get("param"), secrets) or _param_of_detail(error),
        status=_status_of(error),
        extra={
            name: clean_value(error[name], secrets=secrets)
            for name in _EXTRA
            if error.get(name) is not None
        },
    )


def _text_of(value: object, depth: int = 0) -> str:
    """The message in a string, in an object's usual fields, or in a list of either."""
    if isinstance(value, str):
        return value
    if depth > _MAX_TEXT_DEPTH:
        return ""
    if isinstance(value, list):
        texts = [_text_of(part, depth + 1) for part in value[:_MAX_PARTS]]
        return "; ".join(text for text in texts if text)
    if not isinstance(value, dict):
        return ""
    for name in _MESSAGE_FIELDS:
        if text := _text_of(value.get(name), depth + 1):
            place = _place_of(value)
            return f"{place}: {text}" if place else text
    return ""


def _place_of(value: dict[str, Any]) -> str:
    """The field a validation error is about: `["body", "messages", 0]` → `body.messages.0`."""
    place = value.get("loc")
    return ".".join(str(step) for step in place[:10]) if isinstance(place, list) else ""


def _param_of_detail(error: dict[str, Any]) -> str | None:
    """The field the first validation error is about; Mistral puts its list into `message`."""
    message = error.get("message")
    inner = message.get("detail") if isinstance(message, dict) else None
    detail = error.get("detail") or inner
    first = detail[0] if isinstance(detail, list) and detail else None
    return clean_text(_place_of(first)) or None if isinstance(first, dict) else None


def _word_of(value: object, secrets: Sequence[str]) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value) if isinstance(value, str) or abs(value) < 2**63 else ""
    return clean_text(text, secrets=secrets, max_chars=_MAX_CODE_CHARS) or None


def _status_word_of(error: dict[str, Any], secrets: Sequence[str]) -> str | None:
    """Gemini's `status`, which is a word; Azure's is a number and no error type."""
    status = error.get("status")
    return None if isinstance(status, int) else _word_of(status, secrets)


def _status_of(error: dict[str, Any]) -> int | None:
    for name in _STATUS_FIELDS:
        value = error.get(name)
        if isinstance(value, str) and value in _STATUS_TEXTS:
            return int(value)
        if isinstance(value, int) and value in _ERROR_STATUSES:
            return value
    metadata = error.get("metadata")
    inner = metadata.get("error_type") if isinstance(metadata, dict) else None
    for word in (error.get("code"), error.get("type"), error.get("status"), inner):
        if isinstance(word, str) and (status := STATUS_OF_WORD.get(word.lower())):
            return status
    return None


def _find_event(text: str) -> bytes | None:
    """The data of an error sent as an event, as some providers do if a stream was asked for.

    It is the first event that has data; others may follow, such as `[DONE]`.
    """
    if not text.startswith(_FIELDS):
        return None
    events = EventSplitter().feed(f"{text}\n\n".encode())
    return next((data for event in events if (data := parse_event(event)[1])), None)


def _without_markup(message: str, label: str) -> str:
    is_page = message.startswith("<") or "<html" in message.lower()
    return f"{label} answered with a page that is not JSON." if is_page else message


def _describe_text(text: str, label: str, secrets: Sequence[str]) -> str:
    """A sentence for a body that is not JSON; a short plain line is quoted."""
    if not text:
        return f"{label} answered with an error and an empty body."
    if "\ufffd" in text or "\x00" in text:
        return f"{label} answered with bytes that are not text."
    if "<" in text:
        return f"{label} answered with a page that is not JSON."
    if text[0] in "{[" or len(text) > _MAX_QUOTED_CHARS:
        return f"{label} answered with text that is not JSON."
    return f"{label} answered: {clean_text(text, secrets=secrets)}"
