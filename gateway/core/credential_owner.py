"""Owners of credentials: somebody signed in, the holder of a key, or a tenant.

The rule here: an owner's name includes what sort of owner it is. Otherwise somebody whose identity
provider lets them choose a name could get the credentials of a key holder or a tenant.
"""

from gateway.core.identity import Principal

KEY_HOLDER = "key"
USER = "user"
TENANT = "tenant"

_SORTS = {"gateway_key": KEY_HOLDER, "jwt": USER, "supabase_cookie": USER}


def owner_of(principal: Principal) -> str | None:
    """The caller as an owner; None for callers without a profile."""
    sort = _SORTS.get(principal.kind)
    return None if sort is None else name_owner(sort, principal.name)


def tenant_of(principal: Principal) -> str | None:
    """The caller's tenant as an owner; None if there is none."""
    return name_owner(TENANT, principal.tenant) if principal.tenant else None


def name_owner(sort: str, name: str) -> str:
    """The name of an owner in stores; its sort comes before the first colon."""
    return f"{sort}:{name}"
