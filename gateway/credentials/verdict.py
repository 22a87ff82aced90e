"""What a failed attempt says about the credential that was used.

The rule here: only what the provider says about the credential counts. A broken connection, a 5xx
or a refused request says nothing about it.
"""

from http import HTTPStatus

import msgspec

from gateway.core.credential import CredentialState
from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamAnswerError,
    UpstreamCredentialError,
    UpstreamRateLimitError,
)
from gateway.wire.fault_status import is_quota, names_credential
from gateway.wire.headers import asked_wait_s

REST_S = 2.0  # for a 429 that names no time
MAX_REST_S = 3600.0  # a wrong time must not take a credential away for a day
SPENT_S = 600.0  # somebody may have paid by then
SET_ASIDE_S = 600.0  # the provider may have been wrong about it


class Verdict(msgspec.Struct, frozen=True):
    """The new state of the credential, and for how many seconds."""

    state: CredentialState
    lasts_s: float


def judge_failure(error: UpstreamError, *, now: float) -> Verdict | None:
    """What the error says about the credential; None if it is about something else.

    `now` is POSIX time.
    """
    if not isinstance(error, UpstreamAnswerError):
        return None
    if isinstance(error, UpstreamCredentialError):
        # A 400 or 403 may quote the caller, who must not be able to disable a credential.
        if error.status == HTTPStatus.UNAUTHORIZED or names_credential(error.fault):
            return Verdict(CredentialState.SET_ASIDE, SET_ASIDE_S)
        return None
    asked_s = asked_wait_s(error.headers, now=now)
    if error.status == HTTPStatus.PAYMENT_REQUIRED or is_quota(error.fault):
        return Verdict(CredentialState.SPENT, min(max(asked_s or 0.0, SPENT_S), MAX_REST_S))
    if isinstance(error, UpstreamRateLimitError):
        return Verdict(
            CredentialState.RESTING, REST_S if asked_s is None else min(asked_s, MAX_REST_S)
        )
    return None
