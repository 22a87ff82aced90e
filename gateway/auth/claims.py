"""What a token's claims say: how long it is valid, and who it is about.

The rule here: every value is checked even though the signature was right. If a configured claim is
missing, the token is refused; there are no defaults.
"""

from collections.abc import Mapping
from typing import Any

from gateway.config.token_auth import ClaimsSpec
from gateway.core.identity import Principal, PrincipalKind

LAST_SECOND = 253_402_300_799  # of the year 9999; excludes milliseconds and 1e308
MAX_NAME_CHARS = 256
MAX_GROUPS = 256


class ClaimError(ValueError):
    """A claim is missing or unusable; the text may be shown to the caller."""


def check_times(claims: Mapping[str, Any], now: float, leeway_s: float) -> float:
    """When the token expires, including leeway; ClaimError if it is not valid now."""
    until = _time_of(claims, "exp")
    if until is None:
        raise ClaimError("The token lacks `exp`.")
    if now >= until + leeway_s:
        raise ClaimError("The token has expired.")
    for name in ("nbf", "iat"):
        begins_at = _time_of(claims, name)
        if begins_at is not None and now < begins_at - leeway_s:
            raise ClaimError(f"The token is not valid yet: its `{name}` is in the future.")
    return until + leeway_s


def principal_of(
    claims: Mapping[str, Any], spec: ClaimsSpec, *, kind: PrincipalKind, prefix: str
) -> Principal:
    """Who the token is about; ClaimError if it does not say."""
    return Principal(
        name=prefix + _name_in(claims, spec.principal),
        kind=kind,
        tenant="" if spec.tenant is None else _name_in(claims, spec.tenant),
        groups=() if spec.groups is None else _groups_in(claims, spec.groups),
    )


def find_claim(claims: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - a claim is any JSON
    """The value at a path; a claim of that exact name wins, as some names contain dots."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for step in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _time_of(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= LAST_SECOND:  # also excludes NaN and infinity
        raise ClaimError(f"The token's `{name}` is not a time in seconds.")
    return float(value)


def _name_in(claims: Mapping[str, Any], path: str) -> str:
    name = find_claim(claims, path)
    if not isinstance(name, str) or not _is_name(name):
        raise ClaimError(f"The token lacks `{path}`, or what it holds there is not a name.")
    return name


def _groups_in(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    found = find_claim(claims, path)
    if found is None:
        return ()
    groups = found.split() if isinstance(found, str) else found  # `scope` is one string
    is_list = isinstance(groups, list)
    if is_list and len(groups) > MAX_GROUPS:
        raise ClaimError(f"The token holds more than {MAX_GROUPS} groups in `{path}`.")
    if not is_list or not all(isinstance(group, str) and _is_name(group) for group in groups):
        raise ClaimError(f"The token's `{path}` is not a list of groups.")
    return tuple(groups)


def _is_name(text: str) -> bool:
    """Whether a text can be used as a name in a log line."""
    return 0 < len(text) <= MAX_NAME_CHARS and text.isprintable() and text == text.strip()
