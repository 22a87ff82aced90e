"""What the words in provider errors mean: a status, a spent quota, a refused credential.

The rule here: words are listed as data. A word that is not listed means nothing, and the status
decides.
"""

from typing import Final

from gateway.core.upstream_errors import ProviderFault

# For errors inside a 200 stream, where there is no status line to tell.
STATUS_OF_WORD: Final = {
    "invalid_request_error": 400,
    "invalid_request": 400,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "tool_use_failed": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "authentication_error": 401,
    "authentication": 401,
    "invalid_api_key": 401,
    "unauthenticated": 401,
    "billing_error": 402,
    "payment_required": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "not_found": 404,
    "model_not_found": 404,
    "timeout": 408,
    "conflict": 409,
    "request_too_large": 413,
    "payload_too_large": 413,
    "unprocessable": 422,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "too_many_requests": 429,
    "resource_exhausted": 429,
    "insufficient_quota": 429,
    "credit_balance_exhausted": 429,
    "server_error": 500,
    "server": 500,
    "internal": 500,
    "internal_server_error": 500,
    "internal_error": 500,
    "api_error": 500,
    "not_supported_error": 501,
    "bad_gateway": 502,
    "provider_unavailable": 502,
    "unavailable": 503,
    "unavailable_error": 503,
    "service_unavailable": 503,
    "capacity_exceeded": 498,
    "deadline_exceeded": 504,
    "timeout_error": 504,
    "overloaded_error": 529,
    "provider_overloaded": 529,
}

# Waiting does not help with these: somebody has to pay.
_QUOTA_WORDS: Final = frozenset(
    {
        "insufficient_quota",
        "insufficient_balance",
        "insufficient_credits",
        "credit_balance_exhausted",
        "credits_exhausted",
        "payment_required",
        "billing_error",
        "quota_exhausted",
    }
)
_QUOTA_PREFIXES: Final = ("billing_", "spend_limit", "spending_limit")
_CREDENTIAL_WORDS: Final = frozenset({"invalid_api_key", "api_key_invalid"})
# Gemini answers a wrong key with 400, and only its message says why.
_CREDENTIAL_SENTENCES: Final = ("api key not valid", "incorrect api key")
_CREDENTIAL_SENTENCE: Final = "api key not valid. please pass a valid api key."


def is_quota(fault: ProviderFault) -> bool:
    """True if money or a quota is used up, so that another attempt cannot help."""
    words = _words(fault)
    return any(word in _QUOTA_WORDS or word.startswith(_QUOTA_PREFIXES) for word in words)


def is_credential_refused(fault: ProviderFault) -> bool:
    """True if the fault says that the credential is wrong, whatever the status."""
    return not _CREDENTIAL_WORDS.isdisjoint(_words(fault)) or says_incorrect_key(fault)


def names_credential(fault: ProviderFault) -> bool:
    """Like `is_credential_refused`, but nothing that a caller wrote can make it true.

    Messages quote the caller: a model may be called "incorrect api key".
    """
    is_sentence = fault.message.lower() == _CREDENTIAL_SENTENCE
    return is_sentence or not _CREDENTIAL_WORDS.isdisjoint(_words(fault))


def says_incorrect_key(fault: ProviderFault) -> bool:
    """True if the provider's message says that the credential is wrong."""
    message = fault.message.lower()
    return any(sentence in message for sentence in _CREDENTIAL_SENTENCES)


def _words(fault: ProviderFault) -> list[str]:
    return [word.lower() for word in (fault.code, fault.type) if word]
