"""The operator's credentials are there for everybody."""

from pydantic import SecretStr

from gateway.core.credential import Credential
from gateway.core.identity import ANONYMOUS
from gateway.credentials.operator import OperatorSource
from tests.unit.credentials.conftest import ALICE, call_of, provider_of

OURS = Credential("GROQ_API_KEY", SecretStr("sk-canary-of-the-operator"))


async def test_a_provider_has_one_or_has_none() -> None:
    """Whoever calls."""
    source = OperatorSource({"groq": OURS})
    call = call_of()

    for principal in (ALICE, ANONYMOUS):
        found = await source.find(call, principal)
        assert found is not None
        assert (found.credential, found.call) == (OURS, call)
    assert await source.find(call_of(provider_of("openai")), ALICE) is None
    assert await source.fields_of(ALICE) == frozenset()
