"""What we show a provider, and what it is called where it must not be seen.

The rule here: the id says where a credential came from and holds nothing of its value, so it may
stand in any log line, ledger row or metric.
"""

import enum

import msgspec
from pydantic import SecretStr

CALLERS_OWN = ("profile:", "models:")  # how the ids of their credentials begin
SOMEBODYS = (*CALLERS_OWN, "tenant:")  # and tenants'; any other is in the operator's words


class Credential(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One credential of one provider."""

    id: str  # such as `GROQ_API_KEY`: the variable, the file, the profile's field
    secret: SecretStr
    version: int = 0  # which value of a stored one it is; 0: not one of those


def is_callers_own(credential_id: str) -> bool:
    """Whether a credential is the caller's to mend: of their profile, or of a model of theirs."""
    return credential_id.startswith(CALLERS_OWN)


class CredentialState(enum.StrEnum):
    """What is known of a credential; a closed list."""

    OK = "ok"
    RESTING = "resting"  # the provider's rate limit: until the time that the provider named
    SPENT = "spent"  # a quota or the money is used up: asked again after a while
    SET_ASIDE = "set_aside"  # the provider does not accept it: asked again after a while


class CredentialStanding(msgspec.Struct, frozen=True):
    """How one credential stands just now; nothing of it is secret."""

    provider: str
    id: str
    state: CredentialState
    in_flight: int
    since: float | None = None  # POSIX time of the last change of state; None: it never had one
    until: float | None = None  # POSIX time at which it is used again; None while it is ok
    last_error: str = ""  # the code of the last answer that counted against it
    last_status: int = 0  # and its status
    last_error_at: float | None = None
    workers: dict[str, CredentialState] = {}  # its state in each, where there are several
