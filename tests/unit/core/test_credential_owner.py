"""Nobody becomes the owner of another's credentials by being called so."""

import pytest

from gateway.core.credential_owner import name_owner, owner_of, tenant_of
from gateway.core.identity import ANONYMOUS, Principal


def test_the_sort_is_part_of_the_name() -> None:
    """A user may call themselves as a key's holder is called, or as a tenant."""
    holder = owner_of(Principal("alice", "gateway_key", tenant="alice"))
    user = owner_of(Principal("alice", "jwt", tenant="alice"))

    assert (holder, user) == ("key:alice", "user:alice")
    assert tenant_of(Principal("alice", "jwt", tenant="alice")) == "tenant:alice"
    assert owner_of(Principal("tenant:alice", "jwt")) == "user:tenant:alice"
    assert name_owner("tenant", "a") == "tenant:a"


def test_a_session_and_a_token_of_the_same_person_are_one() -> None:
    """What is set in a browser is there for a program with that person's token."""
    assert owner_of(Principal("u1", "supabase_cookie")) == owner_of(Principal("u1", "jwt"))


@pytest.mark.parametrize("principal", [ANONYMOUS, Principal("local", "anonymous")])
def test_who_showed_nothing_owns_nothing(principal: Principal) -> None:
    """Everybody would share it."""
    assert owner_of(principal) is None
    assert tenant_of(principal) is None
