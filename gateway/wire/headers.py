"""Which headers pass through the gateway, in either direction.

The rule here: only headers on an allow-list are passed on.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

Header = tuple[str, str]

MAX_VALUE_CHARS: Final = 1_024
MAX_TRACESTATE_CHARS: Final = 512
MAX_RETRY_AFTER_S: Final = 86_400.0
MAX_HEADERS: Final = 64

# W3C Trace Context: version ff and all-zero ids are invalid. A version after 00 may have more
# fields, after those of version 00.
_TRACEPARENT = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    r"(?:-[\x21-\x7e]{0,200})?"
)
_TRACE_MEMBER = re.compile(r"(?:[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{1,256})?")
MAX_TRACE_MEMBERS: Final = 32
_VALUE = re.compile(r"[\x20-\x7e]*")
_SECONDS = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,9})?")

# Providers use different names. Under this name of ours nobody takes it for the gateway's id.
UPSTREAM_REQUEST_ID: Final = "x-upstream-request-id"
_REQUEST_ID_NAMES: Final = (
    "x-request-id",
    "request-id",
    "x-generation-id",
    "mistral-correlation-id",
    "inference-id",
)
_RESPONSE_NAMES: Final = frozenset({"openai-processing-ms", "ratelimit"})
_RESPONSE_INITIALS: Final = ("r", "x-", "openai-", "anthropic-")  # cheap test that most names fail
_RESPONSE_PREFIXES: Final = (
    "x-ratelimit-",
    "x-tokenlimit-",
    "ratelimit-",
    "anthropic-ratelimit-",
)


def select_request_headers(headers: Iterable[Header]) -> list[Header]:
    """The caller's headers that may go upstream: well-formed, given once, and end to end.

    An idempotency key is never passed on. Callers share one credential upstream, so two callers
    with the same key would get the same answer.
    """
    given: dict[str, str] = {}
    repeated: set[str] = set()
    for name, value in headers:
        lower = name.lower()
        if lower in given:
            repeated.add(lower)
            given[lower] += "," + value  # a list may continue in another line (RFC 9110, 5.3)
        else:
            given[lower] = value
    # Headers that `Connection` names are for this hop only (RFC 9110, 7.6.1).
    hop_by_hop = {name.strip().lower() for name in given.get("connection", "").split(",")}
    usable = {n: v for n, v in given.items() if n not in hop_by_hop}
    return _trace(usable, repeated)


def select_response_headers(headers: Iterable[Header]) -> list[Header]:
    """The provider's headers that the caller may get: names in lower case, values checked again."""
    kept: list[Header] = []
    ids: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _REQUEST_ID_NAMES:
            if is_safe_value(value):
                ids.setdefault(lower, value)
        elif (
            lower.startswith(_RESPONSE_INITIALS)
            and is_safe_value(value)
            and _may_come_back(lower, value)
            and len(kept) < MAX_HEADERS
        ):
            kept.append((lower, value))
    found = [ids[name] for name in _REQUEST_ID_NAMES if ids.get(name)]
    return [*kept, (UPSTREAM_REQUEST_ID, found[0])] if found else kept


def is_safe_value(value: str) -> bool:
    """True if a value is short, printable ASCII, so that nothing in it can end a header."""
    return len(value) <= MAX_VALUE_CHARS and _VALUE.fullmatch(value) is not None


def asked_wait_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """How many seconds an answer asks us to wait, in any of the forms; None if it does not.

    Names are in lower case; `now` is POSIX time.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _SECONDS.fullmatch(milliseconds):
        return min(float(milliseconds) / 1000, MAX_RETRY_AFTER_S)
    seconds = headers.get("retry-after")
    return None if seconds is None else parse_retry_after(seconds, now=now)


def parse_retry_after(value: str, *, now: float) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None if the value is unusable.

    `now` is POSIX time. A date in the past gives 0; more than a day gives one day.
    """
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER_S)
    if (at := _parse_date(value)) is None:
        return None
    return min(max(at - now, 0.0), MAX_RETRY_AFTER_S)


def _parse_date(value: str) -> float | None:
    if not is_safe_value(value):
        return None
    try:
        at = parsedate_to_datetime(value)
        # A date without a zone is in UTC (RFC 9110, 5.6.7).
        stamp = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return stamp if math.isfinite(stamp) else None


def _trace(given: dict[str, str], repeated: set[str]) -> list[Header]:
    parent = given.get("traceparent", "")
    if "traceparent" in repeated or not _TRACEPARENT.fullmatch(parent):
        return []
    state = given.get("tracestate", "")
    kept = [("traceparent", parent)]
    return [*kept, ("tracestate", state)] if _is_tracestate(state) else kept


def _is_tracestate(value: str) -> bool:
    members = value.split(",")
    return (
        0 < len(value) <= MAX_TRACESTATE_CHARS
        and len(members) <= MAX_TRACE_MEMBERS
        and all(_TRACE_MEMBER.fullmatch(member.strip(" \t")) for member in members)
    )


def _may_come_back(name: str, value: str) -> bool:
    if name == "retry-after":
        return _SECONDS.fullmatch(value) is not None or _parse_date(value) is not None
    if name == "retry-after-ms":
        return _SECONDS.fullmatch(value) is not None
    return name in _RESPONSE_NAMES or name.startswith(_RESPONSE_PREFIXES)
