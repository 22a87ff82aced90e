"""The one line of each exchange, and the line with what was said in it.

The rule here: every field is explained in one sentence, in the order in which it is written.
"""

from gateway.core.events.event import LogEvent, make_event

SETTLED = "exchange.settled"
CONTENT = "exchange.content"

# Of every line, whatever it is about.
LINE_FIELDS = {
    "timestamp": "when the line was written, UTC",
    "level": "`info`, unless `logging.events` says another",
    "event": "`exchange.settled`",
}

EXCHANGE_FIELDS = {
    "request_id": (
        "the caller's `X-Request-ID` where it is well formed and does not look like a credential, "
        "else one of ours; the answer carries the same"
    ),
    "principal": (
        "who called: the name of a key, what a token or session calls them, `anonymous`, or "
        "`local` for a direct call without `auth`; `null` for one who was refused"
    ),
    "provider": "the name of its entry in the registry",
    "model": "the id the provider was asked for",
    "credential_id": (
        "what the provider was shown in the last attempt: the variable or file that holds it,"
        " or whose it is and in which field (`profile:alice/groq_api_key`); never its value"
    ),
    "dialect": "`openai` for `/v1`, `text` for everything else",
    "stream": "whether a stream was asked for",
    "status": "the status that went out; 499 where the caller left before there was one",
    "outcome": "how it ended, see below",
    "error_code": (
        "the code of [errors](errors.md), also where the caller saw a code of the provider's"
    ),
    "error_detail": "the reason, for you; it may say more than the caller was told",
    "refused_by": "the rule of `limits` that refused the request, see [limits](limits.md)",
    "would_refuse": "the rules with `dry_run` that would have refused it",
    "bytes_in": "bytes of the request's body; 0 where it was refused before all of that was read",
    "bytes_out": "bytes of the answer's body, without chunk framing",
    "chunks": "events with content in a stream",
    "tokens_in": "tokens of the prompt, of all attempts that are billed",
    "tokens_out": "tokens of the answer, reasoning included",
    "tokens_source": (
        "`provider` where it counted, `estimate` where the gateway did because no count came,"
        " or half of one"
    ),
    "tokens_cached": "of `tokens_in`: those that the provider had in its cache",
    "tokens_reasoning": "of `tokens_out`: those that it spent on reasoning",
    "cost_micros": (
        "what that costs in millionths of a US dollar: what the provider says, or else at the"
        " price in [providers.yaml](../configure/providers.md); null where neither is known"
    ),
    "price_version": (
        "a digest of the prices that the gateway computed with; null where the model has none"
    ),
    "first_content_s": (
        "from the arrival of the request to the first content; to the whole answer where it "
        "is not streamed"
    ),
    "upstream_s": "from sending the request upstream to the end of the answer, in the last attempt",
    "added_s": (
        "what the gateway added: until the request was sent, without waiting for the caller's body "
        "or for a connection to be opened, and from the first content to its relaying; `null` "
        "after several attempts"
    ),
    "duration_s": "from the arrival of the request to the end",
    "client": (
        "the address that called; behind a proxy that is the proxy's, unless "
        "`server.trusted_proxies` names it; then `unknown` where it gives no address, and of a "
        "caller who left before the connection was accepted"
    ),
    "method": "of the request",
    "path": "of the request, without its query, at most 512 characters",
    "attempts": "tries at the provider; 0 where none was made",
    "upstream_request_id": "the provider's own id of the request, for its support",
    "trace_id": "the trace that it is part of, where there is [tracing](tracing.md)",
    "labels": "what middlewares have added",
}

EVENTS = (
    LogEvent(
        SETTLED,
        ("info",),
        "an exchange has ended; the table above has its fields",
        tuple(EXCHANGE_FIELDS),
    ),
    make_event(
        CONTENT,
        "info",
        "what was said in an exchange, in [a stream of its own](#prompts-and-answers)",
        "request_id principal provider model outcome prompt answer is_cut",
    ),
)
