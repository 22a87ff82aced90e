"""A signature says who wrote the claims, not that they are of use."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.claims import MAX_GROUPS, ClaimError, check_times, find_claim, principal_of
from gateway.config.token_auth import ClaimsSpec
from gateway.core.identity import Principal

NOW = 1_800_000_000
ALL = ClaimsSpec(principal="sub", tenant="org.id", groups="realm_access.roles")
CLAIMS: dict[str, Any] = {
    "sub": "auth0|ann",
    "org": {"id": "acme"},
    "realm_access": {"roles": ["chat", "admin"]},
}


@pytest.mark.parametrize(
    "times",
    [
        {"exp": NOW + 1},
        {"exp": NOW - 29.999},
        {"exp": NOW + 1, "nbf": NOW + 30},
        {"exp": NOW + 1, "iat": NOW + 30},
        {"exp": NOW + 1, "nbf": None, "iat": 0},
    ],
    ids=str,
)
def test_clocks_may_differ_by_the_leeway(times: dict[str, Any]) -> None:
    """E10: no two machines have the same time."""
    assert check_times(times, NOW, 30) == times["exp"] + 30


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ({}, "lacks"),
        ({"exp": None}, "lacks"),
        ({"exp": NOW - 30}, "expired"),
        ({"exp": NOW + 1, "nbf": NOW + 31}, "`nbf`"),
        ({"exp": NOW + 1, "iat": NOW + 31}, "`iat`"),
        ({"exp": str(NOW + 1)}, "not a time"),
        ({"exp": True}, "not a time"),
        ({"exp": [NOW + 1]}, "not a time"),
        ({"exp": 1e308}, "not a time"),
        ({"exp": float("inf")}, "not a time"),
        ({"exp": float("nan")}, "not a time"),
        ({"exp": 10**400}, "not a time"),
        ({"exp": -1}, "not a time"),
        ({"exp": (NOW + 1) * 1000}, "not a time"),
        ({"exp": NOW + 1, "nbf": "0"}, "not a time"),
        ({"exp": NOW + 1, "iat": {}}, "not a time"),
    ],
    ids=str,
)
def test_all_other_times_are_refused(times: dict[str, Any], says: str) -> None:
    """E10: PyJWT takes "1e9" for a number and 1e308 for a date."""
    with pytest.raises(ClaimError, match=says):
        check_times(times, NOW, 30)


def test_claims_say_who_it_is() -> None:
    """With what limits and routes are told apart by."""
    found = principal_of(CLAIMS, ALL, kind="jwt", prefix="corp:")

    assert found == Principal("corp:auth0|ann", "jwt", "acme", ("chat", "admin"))


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": " ann"},
        {"sub": "a\nb"},
        {"sub": "a\u202eb"},
        {"sub": "a" * 257},
        {"sub": 7},
        {"sub": ["ann"]},
        {"org": {}},
        {"org": "acme"},
        {"org": {"id": ["acme"]}},
        {"realm_access": {"roles": {"chat": True}}},
        {"realm_access": {"roles": ["chat", 7]}},
        {"realm_access": {"roles": ["g"] * (MAX_GROUPS + 1)}},
    ],
    ids=lambda changed: str(changed)[:40],
)
def test_nothing_is_made_up_for_a_claim_that_is_of_no_use(changed: dict[str, Any]) -> None:
    """A caller without a tenant would be outside of every tenant's limits."""
    with pytest.raises(ClaimError):
        principal_of({**CLAIMS, **changed}, ALL, kind="jwt", prefix="")


@pytest.mark.parametrize(
    ("found", "groups"), [(None, ()), ([], ()), ("openid chat", ("openid", "chat"))], ids=str
)
def test_groups_may_be_few_or_one_text(found: object, groups: tuple[str, ...]) -> None:
    """`scope` is a text with blanks (RFC 8693)."""
    spec = ClaimsSpec(groups="scope")

    assert principal_of({"sub": "a", "scope": found}, spec, kind="jwt", prefix="").groups == groups


def test_too_many_groups_are_told_by_their_number() -> None:
    """It is a list all the same, and whoever looks for a mistake in its form finds none."""
    spec = ClaimsSpec(groups="roles")
    claims = {"sub": "a", "roles": ["g"] * (MAX_GROUPS + 1)}

    with pytest.raises(ClaimError, match="more than 256 groups in `roles`"):
        principal_of(claims, spec, kind="jwt", prefix="")


def test_as_many_groups_as_may_be_are_taken_and_each_must_be_a_name() -> None:
    """Groups are logged and compared: what cannot be shown is in none."""
    spec = ClaimsSpec(groups="roles")
    most = [f"g{number}" for number in range(MAX_GROUPS)]

    caller = principal_of({"sub": "a", "roles": most}, spec, kind="jwt", prefix="")

    assert caller.groups == tuple(most)
    for bad in ("", " g", "g ", "g\nadmin", "\x00", "g" * 257, 7, None):
        with pytest.raises(ClaimError, match="not a list of g"):
            principal_of({"sub": "a", "roles": ["chat", bad]}, spec, kind="jwt", prefix="")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("exp", "nbf", "sub", "org"), JSON)))
def test_no_claims_are_a_crash(claims: dict[str, Any]) -> None:
    """An issuer's mistake is a 401 with the name of the claim, never a 500."""
    with suppress(ClaimError):
        assert check_times(claims, NOW, 30) > NOW
    with suppress(ClaimError):
        found = principal_of(claims, ClaimsSpec(tenant="org"), kind="jwt", prefix="")
        assert found.name.isprintable()


def test_a_claim_with_dots_in_its_name_is_found() -> None:
    """Auth0 asks for addresses as names."""
    claims = {"https://example.org/roles": ["a"], "a": {"b": {"c": 1}}}

    assert find_claim(claims, "https://example.org/roles") == ["a"]
    assert find_claim(claims, "a.b.c") == 1
    assert find_claim(claims, "a.x.c") is None
    assert find_claim(claims, "a.b.c.d") is None
