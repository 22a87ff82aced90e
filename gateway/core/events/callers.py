"""Events around callers, their keys and the credentials they use.

The rule here: one line for each event; its fields are explained in `fields`.
"""

from gateway.core.events.event import make_event

EVENTS = (
    make_event(
        "admin.refused",
        "warning",
        "the admin API was called with a wrong key",
        "client reason",
        is_limited=True,
    ),
    make_event(
        "admin.failed",
        "error",
        "the database did not answer a request of the admin API",
        "reason",
        is_limited=True,
    ),
    make_event(
        "auth.keys_available", "info", "the keys of an issuer can be fetched again", "issuer"
    ),
    make_event(
        "auth.keys_unavailable",
        "warning",
        ("the keys of an issuer cannot be fetched; logged once, until they can be again"),
        "issuer reason",
    ),
    make_event(
        "breaker.opened",
        "warning",
        "a provider, or one model of it, fails and is not asked for a while, see "
        "[overload](overload.md)",
        "provider model attempts failures for_s",
    ),
    make_event(
        "breaker.half_opened",
        "info",
        "the provider is tried again, with a few requests",
        "provider model",
    ),
    make_event(
        "breaker.closed",
        "info",
        "the provider works again, and is asked as before",
        "provider model attempts failures",
    ),
    make_event(
        "connections.turned_away",
        "warning",
        (
            "too many callers were connected, see [files](limits-of-a-stream.md#files); "
            "once a second at most"
        ),
        "count places",
    ),
    make_event(
        "credential.marks_lost",
        "warning",
        ("the times when some credentials last worked could not be written before shutdown"),
        "count reason",
    ),
    make_event(
        "credential.marks_wait",
        "debug",
        "the times when some credentials last worked are written late",
        "reason",
    ),
    make_event(
        "credential.not_opened",
        "error",
        "a stored credential cannot be decrypted; once for each",
        "reason",
    ),
    make_event(
        "credential.recovered",
        "info",
        "a [credential](../configure/credential-pool.md) is used again",
        "provider credential_id",
    ),
    make_event(
        "credential.rested",
        "info",
        "the provider rate-limited a credential",
        "provider credential_id for_s error_code status",
    ),
    make_event(
        "credential.restored",
        "info",
        "an admin restored a credential",
        "provider credential_id admin client",
    ),
    make_event(
        "credential.set_aside",
        "warning",
        "the provider does not accept a credential",
        "provider credential_id for_s error_code status",
    ),
    make_event(
        "credential.spent",
        "warning",
        "the quota or balance of a credential is used up",
        "provider credential_id for_s error_code status",
    ),
    make_event(
        "credential_store.failed",
        "error",
        (
            "a store of callers' credentials does not answer, see "
            "[credentials](../configure/credentials.md#how-soon-changes-apply)"
        ),
        "store reason",
    ),
    make_event(
        "credential_store.recovered",
        "info",
        "the store of callers' credentials answers again",
        "store",
    ),
    make_event("key.created", "info", "an admin created a stored key", "key admin client"),
    make_event("key.disabled", "info", "an admin disabled a stored key", "key admin client"),
    make_event("key.rotated", "info", "an admin rotated a stored key", "key admin client"),
    make_event(
        "key.refused",
        "info",
        ("a known key was refused because it is `disabled`, `expired` or `unreadable`"),
        "key reason",
        is_limited=True,
    ),
    make_event(
        "key_store.failed",
        "error",
        "the database of keys does not answer, see "
        "[stored keys](../configure/keys.md#how-soon-changes-apply)",
        "reason",
    ),
    make_event("key_store.recovered", "info", "the database of keys answers again"),
    make_event(
        "overload.turned_away",
        "info",
        (
            "this many requests were refused before they were parsed, without lines of "
            "their own; once a second at most"
        ),
        "count cause in_flight limit",
    ),
    make_event(
        "overload.began",
        "warning",
        ("requests are refused because the gateway is overloaded, see [overload](overload.md)"),
        "cause in_flight limit lag_s resident_bytes files",
    ),
    make_event(
        "overload.ended",
        "info",
        "no request has been refused for five seconds",
        "refused in_flight limit lag_s resident_bytes files",
    ),
    make_event(
        "profiles.columns_missing",
        "info",
        "the table of profiles lacks columns that the registry names",
        "table columns",
    ),
    make_event(
        "request.crashed",
        "error",
        "a bug in the gateway or in a middleware",
        "request_id exception",
        is_limited=True,
    ),
    make_event(
        "request.malformed",
        "info debug",
        ("a malformed HTTP request; at `debug` if it is not HTTP at all"),
        "request_id client reason text",
        is_limited=True,
    ),
    make_event(
        "retries.held_back",
        "warning",
        (
            "failures were not retried, because too many requests fail; logged when it "
            "begins, and then every five seconds"
        ),
        "provider count",
    ),
    make_event(
        "stream.cut",
        "error",
        "an error or a second answer came after an answer had begun",
        "request_id reason exception",
        is_limited=True,
    ),
)
