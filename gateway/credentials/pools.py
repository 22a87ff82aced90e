"""The pools of all providers, and which credential each exchange holds.

The rule here: an exchange gives its credential back exactly once, when it is settled, however it
ends. A further attempt may swap it in between.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import structlog
from aiohttp import web

from gateway.core.clock import Clock, monotonic, system_clock
from gateway.core.credential import Credential, CredentialStanding, CredentialState
from gateway.core.errors import InternalError, UpstreamError
from gateway.core.exchange import Exchange
from gateway.credentials.pool import NEVER, CredentialPool
from gateway.credentials.refusals import explain_refusal, render_wait
from gateway.credentials.slot import Slot
from gateway.plugins.keys import Call

_EVENTS = {
    CredentialState.RESTING: "credential.rested",
    CredentialState.SPENT: "credential.spent",
    CredentialState.SET_ASIDE: "credential.set_aside",
}

_log = structlog.get_logger()


class Pools:
    """All credentials of the operator."""

    def __init__(
        self,
        credentials: Mapping[str, Sequence[Credential]],
        clock: Clock = monotonic,
        wall: Clock = system_clock,
    ) -> None:
        self._pools = {
            provider: CredentialPool(found, partial(_report, clock, provider), clock, wall)
            for provider, found in credentials.items()
        }
        self._holds: dict[Exchange, Slot] = {}

    @property
    def held(self) -> int:
        """How many exchanges hold a credential."""
        return len(self._holds)

    def take(self, exchange: Exchange, call: Call) -> Credential | None:
        """The credential for this call; None for a provider without any.

        CredentialsRestingError, CredentialsSpentError or CredentialsRefusedError if none can be
        used now.
        """
        pool = self._pools.get(call.provider.name)
        if pool is None:
            return None
        return self._take(pool, exchange, call, may_try=call.provider.retries > 0)

    def take_again(self, exchange: Exchange, call: Call) -> Credential | None:
        """The credential for a further attempt: the one already held, as long as it works.

        None if the exchange holds none. Raises as `take` does.
        """
        slot = self._holds.get(exchange)
        if slot is None:
            return None
        pool = self._pools[call.provider.name]
        if slot.state is CredentialState.OK or pool.is_lone:
            return slot.credential
        return self._take(pool, exchange, call, may_try=False)

    def settle(self, exchange: Exchange) -> None:
        """Give back what a settled exchange holds; called as an observer."""
        slot = self._holds.pop(exchange, None)
        if slot is not None:
            slot.give_back(exchange)

    def note_success(self, exchange: Exchange, call: Call) -> None:
        """Note that the provider has begun to answer."""
        slot = self._holds.get(exchange)
        if slot is not None and slot.state is not CredentialState.OK:
            self._pools[call.provider.name].note_success(slot, exchange)

    def note_failure(self, exchange: Exchange, call: Call, error: UpstreamError) -> float | None:
        """Seconds until this call can be made with another credential, 0 for at once.

        None if the credential is not to blame, or there is no other one. The waiting time in the
        error is replaced by that of the whole pool.
        """
        slot = self._holds.get(exchange)
        if slot is None:
            return None
        pool = self._pools[call.provider.name]
        is_about_it = pool.note_failure(slot, exchange, call.model, error)
        if not is_about_it or pool.is_lone:
            return None
        wait_s = pool.wait_s(call.model)
        if wait_s < NEVER:
            others = {name: value for name, value in error.headers.items() if name not in _WAITS}
            error.headers = {**others, "retry-after": render_wait(wait_s)}
        return wait_s

    def explain_last(
        self, exchange: Exchange, call: Call, error: UpstreamError
    ) -> InternalError | None:
        """The error that the caller gets instead of this last one; None to keep it.

        If one credential is refused or used up but another one only rests, the caller should come
        back later, and is told so, just like the next caller.
        """
        slot = self._holds.get(exchange)
        if slot is None:
            return None
        pool = self._pools[call.provider.name]
        if pool.is_lone or not pool.wait_s(call.model) or not pool.is_refusal(error):
            return None
        if pool.bar_of(call.model) is not CredentialState.RESTING:
            return None
        return explain_refusal(pool, call.provider, call.model, exchange.dialect)

    def standings(self) -> Iterator[CredentialStanding]:
        """The state of every credential."""
        for provider, pool in self._pools.items():
            yield from pool.standings(provider)

    def restore(self, provider: str, credential_id: str | None) -> list[str] | None:
        """Mark one or all of a provider's credentials as working; returns those that were not.

        None if there is no such credential. If something is still wrong, the next call finds out.
        """
        pool = self._pools.get(provider)
        if pool is None:
            return None
        named = [
            slot
            for slot in pool.slots
            if credential_id is None or slot.credential.id == credential_id
        ]
        return [slot.credential.id for slot in named if pool.restore(slot)] if named else None

    def _take(
        self, pool: CredentialPool, exchange: Exchange, call: Call, *, may_try: bool
    ) -> Credential:
        if exchange in self._holds:  # a further attempt, or a middleware called twice
            self.settle(exchange)
        slot = pool.take(exchange, call.model, may_try=may_try)
        if slot is None:
            raise explain_refusal(pool, call.provider, call.model, exchange.dialect)
        self._holds[exchange] = slot
        exchange.credential_id = slot.credential.id
        return slot.credential


POOLS: web.AppKey[Pools] = web.AppKey("pools", Pools)
"""Set by `app`; one of the observers, so that it hears of every end."""

_WAITS = ("retry-after", "retry-after-ms")


def _report(clock: Clock, provider: str, slot: Slot) -> None:
    """Log one line for each change of state."""
    credential_id = slot.credential.id
    if slot.state is CredentialState.OK:
        _log.info("credential.recovered", provider=provider, credential_id=credential_id)
        return
    log = _log.info if slot.state is CredentialState.RESTING else _log.warning
    log(
        _EVENTS[slot.state],
        provider=provider,
        credential_id=credential_id,
        for_s=round(slot.until - clock(), 3),
        error_code=slot.last_error,
        status=slot.last_status,
    )
