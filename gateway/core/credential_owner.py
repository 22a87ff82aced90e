"""Whose credentials: those of somebody signed in, of the holder of a key, or of a tenant.

The rule here: the sort of an owner is part of its name. An issuer that lets people choose what they
are called must not hand out the credentials of a key's holder, or of a tenant.
"""

from gateway.core.identity import Principal

KEY_HOLDER = "key"
USER = "user"
TENANT = "tenant"

_SORTS = {"gateway_key": KEY_HOLDER, "jwt": USER, "supabase_cookie": USER}


def owner_of(principal: Principal) -> str | None:
    """The owner that a caller is; None for callers without a profile."""
    sort = _SORTS.get(principal.kind)
    return None if sort is None else name_owner(sort, principal.name)


def tenant_of(principal: Principal) -> str | None:
    """The owner that a caller's tenant is; None where there is none."""
    return name_owner(TENANT, principal.tenant) if principal.tenant else None


def name_owner(sort: str, name: str) -> str:
    """An owner of a sort, as stores know it; what is before the first colon is the sort."""
    return f"{sort}:{name}"
