"""What a caller is told if no credential of a pool can be used now.

The rule here: waiting times are rounded up, so that a caller who waits that long is served. No
message makes callers look for a mistake in a key of their own.
"""

import math

from gateway.config.registry import Provider
from gateway.core.credential import CredentialState
from gateway.core.dialect import Dialect
from gateway.core.errors import (
    CredentialsRefusedError,
    CredentialsRestingError,
    CredentialsSpentError,
    InternalError,
)
from gateway.credentials.pool import CredentialPool
from gateway.wire.render_errors import incorrect_key_sentence


def explain_refusal(
    pool: CredentialPool, provider: Provider, model: str, dialect: Dialect
) -> InternalError:
    """The error for a pool whose `take` returned None."""
    states = ", ".join(f"{slot.credential.id} {slot.state}" for slot in pool.slots)
    bar = pool.bar_of(model)
    if bar is CredentialState.SET_ASIDE:
        return CredentialsRefusedError(_say_refused(provider, dialect), detail=states)
    after_s = render_wait(pool.wait_s(model))
    headers = {"Retry-After": after_s}
    again = f"try again in {after_s} second{'' if after_s == '1' else 's'}"
    label = provider.label
    if bar is CredentialState.RESTING:
        return CredentialsRestingError(
            f"{label} limits how often the gateway may ask, and its limits are reached; {again}.",
            detail=states,
            headers=headers,
        )
    return CredentialsSpentError(
        f"The gateway's quota at {label} is used up; its operator can raise it.",
        detail=states,
        headers=headers,
    )


def render_wait(wait_s: float) -> str:
    """A waiting time as a `Retry-After` value."""
    return str(max(math.ceil(wait_s), 1))


def _say_refused(provider: Provider, dialect: Dialect) -> str:
    if dialect is Dialect.TEXT and provider.incorrect_key == "status":
        return incorrect_key_sentence(provider.label)
    return (
        f"{provider.label} does not accept any of the gateway's credentials; its operator can "
        f"see with `gateway keys test {provider.name}` what is wrong."
    )
