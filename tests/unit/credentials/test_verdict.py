"""What an answer says about the credential that was shown."""

import pytest

from gateway.core.credential import CredentialState
from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import UpstreamConnectError, UpstreamCutError
from gateway.credentials.verdict import (
    MAX_REST_S,
    REST_S,
    SET_ASIDE_S,
    SPENT_S,
    Verdict,
    judge_failure,
)
from tests.unit.credentials.conftest import NOW, answer

RESTING, SPENT = CredentialState.RESTING, CredentialState.SPENT
REFUSED = Verdict(CredentialState.SET_ASIDE, SET_ASIDE_S)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (answer(401), REFUSED),
        (answer(401, "account_deactivated"), REFUSED),
        (answer(403, "invalid_api_key"), REFUSED),
        (answer(400, "API_KEY_INVALID"), REFUSED),  # Gemini
        (answer(400, message="API key not valid. Please pass a valid API key."), REFUSED),
        (answer(400, message="incorrect api key is not a valid model ID"), None),  # a caller's word
        (answer(403, message="Model 'api key not valid' is not for you"), None),
        (answer(403), None),
        (answer(403, "permission_denied"), None),
        (answer(400), None),
        (answer(404), None),
        (answer(413, "rate_limit_exceeded"), None),  # Groq: this request is too large for ever
        (answer(500), None),
        (answer(503, retry_after="9"), None),
        (answer(402), Verdict(SPENT, SPENT_S)),
        (answer(429, "insufficient_quota"), Verdict(SPENT, SPENT_S)),
        (answer(429, "insufficient_quota", retry_after="1800"), Verdict(SPENT, 1800.0)),
        (answer(403, "billing_hard_limit_reached"), Verdict(SPENT, SPENT_S)),
        (answer(429), Verdict(RESTING, REST_S)),
        (answer(429, retry_after="7.5"), Verdict(RESTING, 7.5)),
        (answer(429, retry_after_ms="1500"), Verdict(RESTING, 1.5)),
        (answer(429, retry_after_ms="120000", retry_after="9"), Verdict(RESTING, 120.0)),
        (answer(429, retry_after="Fri, 15 Jan 2027 08:00:30 GMT"), Verdict(RESTING, 30.0)),
        (answer(429, retry_after="Fri, 15 Jan 2027 07:00:00 GMT"), Verdict(RESTING, 0.0)),
        (answer(429, retry_after="999999999"), Verdict(RESTING, MAX_REST_S)),
        (answer(429, retry_after="soon"), Verdict(RESTING, REST_S)),
        (answer(429, retry_after="-1"), Verdict(RESTING, REST_S)),
        (UpstreamConnectError("No."), None),
        (UpstreamCutError("No."), None),
    ],
)
def test_only_what_is_said_of_the_credential_counts(
    error: UpstreamError, expected: Verdict | None
) -> None:
    """F11, F13: a model that is not there must not take a credential away, nor a strange time."""
    assert judge_failure(error, now=NOW) == expected
