"""A source of credentials for calls.

The rule here: a credential and its address come from the same place, so that nobody's credential is
ever sent to an address that somebody else has set.
"""

from typing import Protocol

import msgspec

from gateway.config.credentials import VISIBLE
from gateway.config.registry import Provider
from gateway.core.credential import Credential
from gateway.core.errors import CredentialUnusableError
from gateway.core.identity import Principal
from gateway.plugins.keys import Call
from gateway.wire.redaction import redact
from gateway.wire.render_errors import incorrect_key_sentence


class Found(msgspec.Struct, frozen=True):
    """The credential for a call, and the call, perhaps with another address or model."""

    credential: Credential | None
    call: Call
    is_operators: bool = False  # the log knows it and redacts it in every line


class Source(Protocol):
    """One of the sources named in `credential_order`."""

    async def find(self, call: Call, principal: Principal) -> Found | None:
        """The credential for a call; None if this source has none.

        Asked on the way of every request: what has to be waited for is kept.
        CredentialUnavailableError where it cannot say just now, and then no other source is asked:
        whose credential it would be is not known. CredentialUnusableError where there is one that
        cannot be sent.
        """

    async def fields_of(self, principal: Principal) -> frozenset[str]:
        """The fields in which a caller has a credential here; for lists of what can be called.

        CredentialUnavailableError where it cannot say just now.
        """


def moved_to(call: Call, provider: Provider, model: str | None = None) -> Call:
    """The call with another provider or model; the same call if neither differs."""
    if provider is call.provider and model is None:
        return call
    return Call(call.dialect, provider, model or call.model, call.stream, call.wants_usage)


def model_to_note(found: Found) -> str:
    """The model's name for the log and the ledger; a key entered in its place is masked."""
    # The two fields are next to each other in users' settings.
    secrets = () if found.credential is None else (found.credential.secret.get_secret_value(),)
    return redact(found.call.model, secrets)


def check_usable(credential: Credential, label: str) -> None:
    """Raise if a credential that a user entered cannot be sent in a header."""
    # A line break in it would end the header and start another.
    if VISIBLE.fullmatch(credential.secret.get_secret_value()) is None:
        raise CredentialUnusableError(
            incorrect_key_sentence(label),
            detail=f"{credential.id} holds white space, a control character or a letter "
            "outside ASCII",
        )
