"""What the log line of an exchange says.

The rule here: every field is there in every line, null when there is nothing to say, so that
whoever reads the lines by machine never has to guess.
"""

from typing import Any

from gateway.core.exchange import Exchange
from gateway.telemetry.cleaning import text_of
from gateway.wire.redaction import redact

# What callers, providers and plugins can put into a line; all else is a word or number of ours.
RECURRING = ("principal", "model", "client", "method", "path")  # the same in many lines
FOREIGN = (*RECURRING, "error_detail", "upstream_request_id", "labels")

_MICROS_PER_S = 1e6  # a float: with a whole number Python has to convert it each time


def describe_exchange(exchange: Exchange) -> dict[str, Any]:
    """The fields of one settled exchange, in their order."""
    usage = exchange.usage
    principal = exchange.principal
    started_at = exchange.started_at
    fields: dict[str, Any] = {
        "request_id": exchange.request_id,
        "principal": None if principal is None else principal.name,
        "provider": exchange.provider or None,
        "model": exchange.model or None,
        "credential_id": exchange.credential_id or None,
        "dialect": exchange.dialect,
        "stream": exchange.stream,
        "status": exchange.status,
        "outcome": exchange.outcome,
        "error_code": exchange.error_code or None,
        "error_detail": exchange.error_detail or None,
        "refused_by": exchange.refused_by or None,
        "would_refuse": exchange.would_refuse or None,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "chunks": exchange.chunks,
        "tokens_in": None if usage is None else usage.tokens_in,
        "tokens_out": None if usage is None else usage.tokens_out,
        "tokens_source": None if usage is None else usage.source,
        "tokens_cached": None if usage is None else usage.tokens_cached,
        "tokens_reasoning": None if usage is None else usage.tokens_reasoning,
        "cost_micros": exchange.spent_micros,
        "price_version": None if exchange.cost is None else exchange.cost.price_version,
        "first_content_s": _between(started_at, exchange.first_content_at),
        "upstream_s": _between(exchange.upstream_started_at, exchange.upstream_ended_at),
        "added_s": added_s(exchange),
        "duration_s": _between(started_at, exchange.ended_at),
        "client": exchange.client_address,
        "method": exchange.method,
        "path": exchange.path,
        "attempts": exchange.attempts,
        "upstream_request_id": exchange.upstream_request_id or None,
        "trace_id": None if exchange.trace is None else exchange.trace.trace_id,
    }
    if exchange.labels:
        fields["labels"] = exchange.labels
    if exchange.credential_secret is not None:
        # Callers' own credentials are not among those that the log knows from the start.
        _take_out(fields, exchange.credential_secret.get_secret_value())
    return fields


def _take_out(fields: dict[str, Any], secret: str) -> None:
    """Mask the credential where callers, providers or plugins may have put it; 0.3 µs."""
    for name in FOREIGN:
        value = fields.get(name)
        if isinstance(value, str):
            if secret in value:
                fields[name] = redact(value, (secret,))
        elif isinstance(value, dict) and secret in str(value):
            fields[name] = {
                redact(text_of(label), (secret,)): redact(text_of(text), (secret,))
                for label, text in value.items()
            }


def added_s(exchange: Exchange) -> float | None:
    """What the gateway itself added: until the request was sent, and to the first content.

    What it waited for others meanwhile is not its own. None where there were several attempts: the
    time of those that failed is not ours either.
    """
    added = measure_added_s(exchange)
    return None if added is None else _in_micros(added)


def measure_added_s(exchange: Exchange) -> float | None:
    """The same, not rounded."""
    if exchange.attempts != 1 or not exchange.upstream_started_at:
        return None
    added = max(0.0, exchange.upstream_started_at - exchange.started_at - exchange.waited_s)
    content_at = exchange.first_content_at
    if content_at and exchange.first_relayed_at > content_at:
        # On a stream that had to begin before its content there is no wait to count.
        added += exchange.first_relayed_at - content_at
    return added


def _between(start_at: float, end_at: float) -> float | None:
    if not start_at or not end_at:
        return None
    return _in_micros(end_at - start_at)


def _in_micros(seconds: float) -> float:
    """The same to the microsecond.

    `round(seconds, 6)` says the same in four times the instructions, 2,000 more for each of four.
    """
    return (seconds * _MICROS_PER_S + 0.5) // 1.0 / _MICROS_PER_S
