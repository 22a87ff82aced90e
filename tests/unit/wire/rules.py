"""Rules of a provider, as the tests write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Rules:
    """Rules as the registry holds them."""

    send: Sequence[str] = ()
    drop: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    set: Mapping[str, Any] = field(default_factory=dict)
    cap: Mapping[str, int | float | Decimal] = field(default_factory=dict)
