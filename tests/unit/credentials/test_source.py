"""What somebody wrote down as a credential may be anything."""

import pytest
from pydantic import SecretStr

from gateway.core.credential import Credential
from gateway.core.errors import CredentialUnusableError
from gateway.credentials.source import check_usable


@pytest.mark.parametrize("value", ["sk-canary\r\nX-Evil: 1", "sk canary", "sk-cänary", "\x00", ""])
def test_what_cannot_stand_in_a_header_is_refused(value: str) -> None:
    """With the sentence that its owner knows, and without the value."""
    with pytest.raises(CredentialUnusableError) as refused:
        check_usable(Credential("profile:alice/groq_api_key", SecretStr(value)), "Groq")

    assert refused.value.public == (
        "Groq API Key is incorrect. Please fix it in your profile settings."
    )
    assert "nary" not in f"{refused.value.detail}"
    assert "profile:alice/groq_api_key" in str(refused.value.detail)


def test_what_can_is_taken() -> None:
    """Whatever it looks like."""
    check_usable(Credential("a", SecretStr("!~x")), "Groq")
