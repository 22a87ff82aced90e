"""Who is calling, once authenticated.

The rule here: nothing in a principal is secret, so it may appear in any log line.
"""

from typing import Literal

import msgspec

PrincipalKind = Literal["anonymous", "gateway_key", "jwt", "supabase_cookie"]


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller."""

    name: str
    kind: PrincipalKind
    tenant: str = ""
    groups: tuple[str, ...] = ()


ANONYMOUS = Principal("anonymous", "anonymous")
