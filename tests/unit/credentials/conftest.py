"""What the tests share: calls, credentials, a clock in the hand, and errors of providers."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.config.registry import Provider
from gateway.core.credential import Credential
from gateway.core.dialect import Dialect
from gateway.core.exchange import Exchange
from gateway.core.identity import Principal
from gateway.core.tasks import Tasks
from gateway.core.upstream_errors import ProviderFault, UpstreamAnswerError
from gateway.credentials.pool import CredentialPool
from gateway.credentials.slot import Slot
from gateway.plugins.keys import Call
from gateway.wire.provider_errors import upstream_error_of

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


class Hand:
    """A clock that stands until it is moved; it begins at 1000."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        """Seconds on a clock that only goes forward."""
        return self.now

    def wall(self) -> float:
        """The time of day."""
        return NOW - 1000.0 + self.now


def credentials_of(count: int) -> list[Credential]:
    """Credentials K0, K1 and so on."""
    return [Credential(f"K{number}", SecretStr(f"sk-{number}")) for number in range(count)]


def answer(
    status: int, code: str | None = None, message: str = "No.", **headers: str
) -> UpstreamAnswerError:
    """What a provider answered."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return upstream_error_of(status, ProviderFault(message, code=code), label="Groq", headers=named)


class Bench:
    """A pool with its clock, and every change of state that it has told of."""

    def __init__(self, count: int) -> None:
        self.hand = Hand()
        self.changes: list[tuple[str, str]] = []
        self.pool = CredentialPool(
            credentials_of(count), self._note, self.hand.clock, self.hand.wall
        )

    def take(self, who: object = "a", model: str = "m", *, may_try: bool = True) -> Slot | None:
        """What a request gets."""
        return self.pool.take(who, model, may_try=may_try)

    def name(self, who: object = "a", model: str = "m", *, may_try: bool = True) -> str | None:
        """The id of what a request gets, which is given back at once."""
        slot = self.take(who, model, may_try=may_try)
        if slot is None:
            return None
        slot.give_back(who)
        return slot.credential.id

    def fail(self, number: int, error: UpstreamAnswerError, model: str = "m") -> bool:
        """A request with that credential has failed."""
        return self.pool.note_failure(self.pool.slots[number], "somebody", model, error)

    def states(self) -> list[str]:
        """The state of each."""
        return [str(one.state) for one in self.pool.standings("groq")]

    def _note(self, slot: Slot) -> None:
        self.changes.append((slot.credential.id, str(slot.state)))


@pytest.fixture
def open_bench() -> Callable[[int], Bench]:
    """Makes pools of so many credentials."""
    return Bench


ALICE = Principal("alice", "jwt", tenant="acme")


def provider_of(name: str = "groq", **fields: Any) -> Provider:
    """A provider of the registry."""
    return Provider.model_validate(
        {"name": name, "base_url": f"https://{name}.example.org/v1", **fields}
    )


def exchange_of(principal: Principal = ALICE) -> Exchange:
    """What somebody asks."""
    return Exchange("r1", 1.0, "POST", "/", "unix", (), principal=principal)


def call_of(provider: Provider | None = None, model: str = "m") -> Call:
    """A call to a provider."""
    return Call(Dialect.TEXT, provider or provider_of(), model, stream=True, wants_usage=False)


@pytest.fixture
async def tasks() -> Any:
    """Background tasks, none of which crashes."""
    crashes: list[BaseException] = []
    made = Tasks(lambda _, error: crashes.append(error))
    yield made
    await made.cancel()
    assert crashes == []
