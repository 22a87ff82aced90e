"""What several workers know of credentials and breakers, as one.

The rule here: the gravest word is shown, and beside it that of each worker where there are several:
one that has seen a failure knows more than those that have not.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gateway.core.breaker import BreakerStanding, BreakerState
from gateway.core.credential import CredentialStanding, CredentialState

_GRAVITY = {state: place for place, state in enumerate(CredentialState)}
_BREAKER_GRAVITY = {state: place for place, state in enumerate(BreakerState)}


def merge_credentials(
    parts: Mapping[str, Sequence[CredentialStanding]],
) -> list[CredentialStanding]:
    """One standing for each credential; the key names the worker."""
    found: dict[tuple[str, str], dict[str, CredentialStanding]] = {}
    for worker, standings in parts.items():
        for one in standings:
            found.setdefault((one.provider, one.id), {})[worker] = one
    return [_merge(by_worker) for by_worker in found.values()]


def merge_breakers(parts: Iterable[Iterable[BreakerStanding]]) -> list[BreakerStanding]:
    """One standing for each provider."""
    found: dict[str, BreakerStanding] = {}
    for standings in parts:
        for one in standings:
            before = found.get(one.provider, one)
            gravest = max(before, one, key=lambda standing: _BREAKER_GRAVITY[standing.state])
            found[one.provider] = gravest
    return list(found.values())


def _merge(by_worker: Mapping[str, CredentialStanding]) -> CredentialStanding:
    standings = list(by_worker.values())
    if len(standings) == 1:
        return standings[0]
    gravest = max(standings, key=lambda one: (_GRAVITY[one.state], one.last_error_at or 0.0))
    return msgspec.structs.replace(
        gravest,
        in_flight=sum(one.in_flight for one in standings),
        workers={worker: one.state for worker, one in by_worker.items()},
    )
