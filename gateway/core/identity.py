"""Who is calling, once authenticated.

The rule here: nothing of a principal is secret, so it may appear in any log line.
"""

from dataclasses import dataclass
from typing import Literal

PrincipalKind = Literal["anonymous", "gateway_key"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    name: str
    kind: PrincipalKind


ANONYMOUS = Principal("anonymous", "anonymous")
