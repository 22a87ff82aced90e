"""Events around callers, their keys and the credentials they use.

The rule here: one line for each event; its fields are explained in `fields`.
"""

from gateway.core.events.event import make_event

EVENTS = (
    make_event(
        "admin.refused",
        "warning",
        "a wrong key came to the admin API",
        "client reason",
        is_limited=True,
    ),
    make_event(
        "admin.failed", "error", "the database did not answer an admin", "reason", is_limited=True
    ),
    make_event(
        "auth.keys_available", "info", "the keys of an issuer can be fetched again", "issuer"
    ),
    make_event(
        "auth.keys_unavailable",
        "warning",
        "the keys of an issuer cannot be fetched; once, until they can be again",
        "issuer reason",
    ),
    make_event(
        "breaker.opened",
        "warning",
        "a provider, or one model of it, fails and is not asked for a while, see "
        "[overload](overload.md)",
        "provider model attempts failures for_s",
    ),
    make_event("breaker.half_opened", "info", "it is asked again, by a few", "provider model"),
    make_event(
        "breaker.closed",
        "info",
        "it works, and is asked as before",
        "provider model attempts failures",
    ),
    make_event(
        "connections.turned_away",
        "warning",
        "there was no place for more callers, see [files](limits-of-a-stream.md#files); "
        "once a second at most",
        "count places",
    ),
    make_event(
        "credential.marks_lost",
        "warning",
        "when some credentials last worked could not be written before the end",
        "count reason",
    ),
    make_event(
        "credential.marks_wait",
        "debug",
        "it is written later when some credentials last worked",
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
        "the provider told a credential to wait",
        "provider credential_id for_s error_code status",
    ),
    make_event(
        "credential.restored",
        "info",
        "an admin has said that a credential is well again",
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
        "the quota or money of a credential is used up",
        "provider credential_id for_s error_code status",
    ),
    make_event(
        "credential_store.failed",
        "error",
        "where callers' credentials are does not answer, see "
        "[credentials](../configure/credentials.md#how-soon-changes-apply)",
        "store reason",
    ),
    make_event("credential_store.recovered", "info", "where they are answers again", "store"),
    make_event("key.created", "info", "an admin made a stored key", "key admin client"),
    make_event("key.disabled", "info", "an admin disabled a stored key", "key admin client"),
    make_event("key.rotated", "info", "an admin gave a key another value", "key admin client"),
    make_event(
        "key.refused",
        "info",
        "a key came that is known and is `disabled`, `expired`, or `unreadable`",
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
        "so many requests were refused from their bytes alone, without lines of their own; once a "
        "second at most",
        "count cause in_flight limit",
    ),
    make_event(
        "overload.began",
        "warning",
        "requests are refused because no more can be borne, see [overload](overload.md)",
        "cause in_flight limit lag_s resident_bytes files",
    ),
    make_event(
        "overload.ended",
        "info",
        "none has been refused for five seconds",
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
        "a mistake of the gateway's or a middleware's",
        "request_id exception",
        is_limited=True,
    ),
    make_event(
        "request.malformed",
        "info debug",
        "something came that is no HTTP request; at `debug` where it is no HTTP at all",
        "request_id client reason text",
        is_limited=True,
    ),
    make_event(
        "retries.held_back",
        "warning",
        "failures were not tried again, because too many fail; when it begins, and then every five "
        "seconds",
        "provider count",
    ),
    make_event(
        "stream.cut",
        "error",
        "an error or a second answer came after a head was out",
        "request_id reason exception",
        is_limited=True,
    ),
)
