"""The one line of each exchange, and the line with what was said in it.

The rule here: every field is explained in one sentence, in the order in which it is written.
"""

from gateway.core.events.event import LogEvent, make_event

SETTLED = "exchange.settled"
CONTENT = "exchange.content"

# Of every line, whatever it is about.
LINE_FIELDS = {
    "timestamp": "when the line was written, UTC",
    "level": "`info`, unless `logging.events` sets another",
    "event": "`exchange.settled`",
}

EXCHANGE_FIELDS = {
    "request_id": (
        "the caller's `X-Request-ID` if it is well formed and does not look like a "
        "credential, otherwise a new one; the answer has the same"
    ),
    "principal": (
        "who called: the name of a key, the name in a token or session, `anonymous`, "
        "or `local` for a direct call without `auth`; `null` if the caller was "
        "refused"
    ),
    "provider": "the name of its entry in the registry",
    "model": "the id the provider was asked for",
    "credential_id": (
        "the credential that was used in the last attempt: the variable or file that "
        "holds it, or its owner and field (`profile:alice/groq_api_key`); never its "
        "value"
    ),
    "dialect": "`openai` for `/v1`, `text` for everything else",
    "stream": "whether a stream was asked for",
    "status": ("the status that was sent; 499 if the caller left before there was one"),
    "outcome": "how it ended, see below",
    "error_code": ("the code in [errors](errors.md), even if the caller saw the provider's code"),
    "error_detail": ("the reason, for the operator; it may say more than the caller was told"),
    "refused_by": "the rule of `limits` that refused the request, see [limits](limits.md)",
    "would_refuse": "the rules with `dry_run` that would have refused it",
    "bytes_in": ("bytes of the request's body; 0 if it was refused before the whole body was read"),
    "bytes_out": "bytes of the answer's body, without chunk framing",
    "chunks": "events with content in a stream",
    "tokens_in": "tokens of the prompt, of all attempts that are billed",
    "tokens_out": "tokens of the answer, reasoning included",
    "tokens_source": (
        "`provider` if the provider counted, `estimate` if the gateway did because "
        "the provider's count was missing or incomplete"
    ),
    "tokens_cached": "how many of `tokens_in` came from the provider's cache",
    "tokens_reasoning": "how many of `tokens_out` were spent on reasoning",
    "cost_micros": (
        "its cost in millionths of a US dollar, according to the provider, or else at "
        "the price in [providers.yaml](../configure/providers.md); null if neither is "
        "known"
    ),
    "price_version": ("a digest of the prices that were used; null if the model has none"),
    "first_content_s": (
        "from the arrival of the request to the first content; for an answer that is "
        "not streamed, to the whole answer"
    ),
    "upstream_s": "from sending the request upstream to the end of the answer, in the last attempt",
    "added_s": (
        "time added by the gateway: before the request was sent, not counting waits "
        "for the caller's body or for a new connection, and from the arrival of the "
        "first content to passing it on; `null` after several attempts"
    ),
    "duration_s": "from the arrival of the request to the end",
    "client": (
        "the caller's address; behind a proxy it is the proxy's, unless "
        "`server.trusted_proxies` names the proxy; `unknown` if such a proxy gives no "
        "address, or if the caller left before the connection was accepted"
    ),
    "method": "of the request",
    "path": ("path of the request, without its query, at most 512 characters"),
    "attempts": "attempts at the provider; 0 if there was none",
    "upstream_request_id": "the provider's own id of the request, for its support",
    "trace_id": "the trace that it is part of, with [tracing](tracing.md)",
    "labels": "what middlewares added",
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
        ("prompt and answer of an exchange, in [a separate stream](#prompts-and-answers)"),
        "request_id principal provider model outcome prompt answer is_cut",
    ),
)
