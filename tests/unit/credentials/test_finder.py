"""The sources are asked in the provider's order, and one that cannot say is not passed over."""

import pytest
from pydantic import SecretStr

from gateway.core.credential import Credential
from gateway.core.errors import CredentialUnavailableError, ProviderNotFoundError
from gateway.core.identity import Principal
from gateway.credentials.finder import OPERATOR, CredentialFinder
from gateway.credentials.pools import Pools
from gateway.credentials.source import Found, Source
from gateway.plugins.keys import Call
from tests.unit.credentials.conftest import ALICE, call_of, exchange_of, provider_of

WORDS = ("operator", "profile", "tenant")


class Fixed:
    """A source that has one credential, or none, or cannot say."""

    def __init__(self, name: str, *, is_down: bool = False) -> None:
        self._credential = Credential(name, SecretStr("canary"))
        self._is_down = is_down
        self.asked: list[Principal] = []

    async def find(self, call: Call, principal: Principal) -> Found | None:
        """What it has."""
        self.asked.append(principal)
        if self._is_down:
            raise CredentialUnavailableError("Not now.")
        return Found(self._credential, call)

    async def fields_of(self, principal: Principal) -> frozenset[str]:
        """One field, named after the source."""
        if self._is_down:
            raise CredentialUnavailableError("Not now.")
        return frozenset({f"{self._credential.id}_key"} if principal == ALICE else ())


def finder_of(*names: str, down: str = "") -> CredentialFinder:
    """A finder with these sources; the operator's is a pool."""
    sources: dict[str, Source] = {
        name: Fixed(name, is_down=name == down) for name in names if name != OPERATOR
    }
    ours = (Credential(OPERATOR, SecretStr("canary")),)
    return CredentialFinder(sources, Pools({"groq": ours} if OPERATOR in names else {}))


@pytest.mark.parametrize(
    ("order", "there", "taken"),
    [
        (WORDS, WORDS, "operator"),
        (("profile", "operator"), WORDS, "profile"),
        (("tenant", "profile"), ("operator", "profile"), "profile"),
        (WORDS, ("tenant",), "tenant"),
        (("profile",), ("operator", "tenant"), None),
        (WORDS, (), None),
    ],
)
async def test_the_first_that_has_one_is_taken(
    order: tuple[str, ...], there: tuple[str, ...], taken: str | None
) -> None:
    """What is not in the order is never taken."""
    call = call_of(provider_of(credential_order=order))

    exchange = exchange_of()

    found = await finder_of(*there).find(call, exchange)

    assert (found.credential and found.credential.id) == taken
    assert found.call is call


async def test_one_that_cannot_say_is_not_passed_over() -> None:
    """The next one's credential would be somebody else's money."""
    call = call_of(provider_of(credential_order=("profile", "operator")))

    with pytest.raises(CredentialUnavailableError):
        await finder_of(*WORDS, down="profile").find(call, exchange_of())


async def test_models_of_callers_need_a_table() -> None:
    """Without one, whoever runs the gateway is told what to write."""
    with pytest.raises(ProviderNotFoundError, match="source: postgres"):
        await finder_of(*WORDS).find(
            call_of(provider_of("custom", base_url="models:")), exchange_of()
        )


def test_profiles_are_there_or_not() -> None:
    """What is said of a missing key depends on it."""
    assert finder_of("operator", "profile").has_profiles
    assert not finder_of("operator", "tenant").has_profiles


@pytest.mark.parametrize(
    ("down", "principal", "expected"),
    [
        ("", ALICE, {"a", "b"}),
        ("profile", ALICE, {"b"}),
        ("", Principal("bob", "jwt"), set()),
    ],
)
async def test_lists_say_what_callers_have_themselves(
    down: str, principal: Principal, expected: set[str]
) -> None:
    """As far as that is known, and where it would be taken."""
    providers = [
        provider_of("a", key="profile_key"),
        provider_of("b", key="tenant_key"),
        provider_of("c", key="tenant_key", credential_order=("operator", "profile")),
        provider_of("d", key="other_key"),
    ]

    found = await finder_of("profile", "tenant", down=down).find_own(providers, principal)

    assert found == expected
