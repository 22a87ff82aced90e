"""What a credential is called says whose it is to mend."""

import pytest

from gateway.core.credential import is_callers_own


@pytest.mark.parametrize(
    ("credential_id", "is_own"),
    [
        ("profile:alice/groq_api_key", True),
        ("models:r1", True),
        ("tenant:acme/groq_api_key", False),
        ("GROQ_API_KEY", False),
        ("file:/run/secrets/groq", False),
        ("written out", False),
        ("", False),
    ],
)
def test_the_callers_own_are_told_from_all_others(credential_id: str, *, is_own: bool) -> None:
    """A tenant's is its administrator's, the rest the operator's."""
    assert is_callers_own(credential_id) is is_own
