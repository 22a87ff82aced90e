"""What a token's claims say: how long it counts, and who it is about.

The rule here: the signature was right, and still every value is looked at. A claim that was
configured and is not there refuses the token; nothing is made up in its place.
"""

from collections.abc import Mapping
from typing import Any

from gateway.config.token_auth import ClaimsSpec
from gateway.core.identity import Principal, PrincipalKind

LAST_SECOND = 253_402_300_799  # of the year 9999: milliseconds and 1e308 are no dates
MAX_NAME_CHARS = 256
MAX_GROUPS = 256


class ClaimError(ValueError):
    """A claim that is missing or of no use; the text may be shown to the caller."""


def check_times(claims: Mapping[str, Any], now: float, leeway_s: float) -> float:
    """Until when the token counts, leeway included; ClaimError when it does not."""
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
    """Who the token is about; ClaimError when it does not say so."""
    return Principal(
        name=prefix + _name_in(claims, spec.principal),
        kind=kind,
        tenant="" if spec.tenant is None else _name_in(claims, spec.tenant),
        groups=() if spec.groups is None else _groups_in(claims, spec.groups),
    )


def find_claim(claims: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - a claim is any JSON
    """What is at a path; a claim of that very name comes first: some have dots in it."""
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
    if not is_number or not 0 <= value <= LAST_SECOND:  # neither NaN nor infinity is
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
    groups = found.split() if isinstance(found, str) else found  # `scope` is one text
    is_list = isinstance(groups, list)
    if is_list and len(groups) > MAX_GROUPS:
        raise ClaimError(f"The token holds more than {MAX_GROUPS} groups in `{path}`.")
    if not is_list or not all(isinstance(group, str) and _is_name(group) for group in groups):
        raise ClaimError(f"The token's `{path}` is not a list of groups.")
    return tuple(groups)


def _is_name(text: str) -> bool:
    """Whether a text can stand in a log line as somebody's name."""
    return 0 < len(text) <= MAX_NAME_CHARS and text.isprintable() and text == text.strip()
