"""A credential for a provider, and the id that names it without revealing it.

The rule here: the id says where a credential came from and contains nothing of its value, so it may
appear in any log line, ledger row or metric.
"""

import enum

import msgspec
from pydantic import SecretStr

CALLERS_OWN = ("profile:", "models:")  # prefixes of the ids of callers' own credentials
SOMEBODYS = (*CALLERS_OWN, "tenant:")  # plus tenants'; all other ids are the operator's


class Credential(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One credential of one provider."""

    id: str  # such as `GROQ_API_KEY`: the variable, the file, the profile's field
    secret: SecretStr
    version: int = 0  # identifies the value of a stored one; 0: not stored


def is_callers_own(credential_id: str) -> bool:
    """Whether it is the caller's own to fix: from their profile, or a model of theirs."""
    return credential_id.startswith(CALLERS_OWN)


class CredentialState(enum.StrEnum):
    """What we know about a credential; a closed list."""

    OK = "ok"
    RESTING = "resting"  # rate-limited, until the time that the provider named
    SPENT = "spent"  # a quota or the money is used up; tried again after a while
    SET_ASIDE = "set_aside"  # the provider does not accept it; tried again after a while


class CredentialStanding(msgspec.Struct, frozen=True):
    """The current state of one credential; none of this is secret."""

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
