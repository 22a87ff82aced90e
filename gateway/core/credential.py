"""What we show a provider, and what it is called where it must not be seen.

The rule here: the id says where a credential came from and holds nothing of its value, so it may
stand in any log line, ledger row or metric.
"""

import msgspec
from pydantic import SecretStr


class Credential(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One credential of one provider."""

    id: str  # such as `GROQ_API_KEY`: the variable, the file, the profile's field
    secret: SecretStr
    version: int = 0  # which value of a stored one it is; 0: not one of those


def is_callers_own(credential_id: str) -> bool:
    """Whether a credential is the caller's to mend: of their profile, or of a model of theirs."""
    return credential_id.startswith(("profile:", "models:"))
