"""Masking credentials in stream events other than content, which are otherwise relayed unchanged.

The rule here: an event without a credential keeps every byte. In one with a credential, which is
the provider's mistake, only the credential is masked.
"""

import json
from collections.abc import Sequence
from typing import Any

from gateway.wire.redaction import KEPT_CHARS, MIN_SECRET_CHARS, redact
from gateway.wire.sse import parse_event


def holds_secret(text: str, secrets: Sequence[str]) -> bool:
    """Whether the text contains a known credential literally."""
    for secret in secrets:  # noqa: SIM110 - `any` over a generator takes three times as long
        if len(secret) >= MIN_SECRET_CHARS and secret in text:
            return True
    return False


def mask_event(event: bytes, secrets: Sequence[str]) -> bytes:
    """Mask known credentials in a comment or an event without content."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS and (raw := secret.encode()) in event:
            event = event.replace(raw, f"…{secret[-KEPT_CHARS:]}".encode())
    return event


def mask_fault(event: bytes, secrets: Sequence[str]) -> bytes:
    """Mask credentials in an error event, including anything that looks like one.

    Providers quote the key that they refuse, and JSON can write any of its characters in two ways.
    """
    kind, payload = parse_event(event)
    try:
        said = json.loads((payload or b"").decode("utf-8", "replace"), strict=False)
        masked = _mask_value(said, secrets)
    except (ValueError, RecursionError):  # not JSON, or nested too deeply
        text = event.decode("utf-8", "surrogateescape")
        return redact(text, secrets).encode("utf-8", "surrogateescape")
    if masked == said:
        return mask_event(event, secrets)  # for its comments
    lines = [b"event: " + kind] if kind else []
    return b"\n".join([*lines, b"data: " + json.dumps(masked).encode(), b"\n"])


def _mask_value(value: Any, secrets: Sequence[str]) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, list):
        return [_mask_value(one, secrets) for one in value]
    if isinstance(value, dict):
        return {redact(key, secrets): _mask_value(one, secrets) for key, one in value.items()}
    return value
