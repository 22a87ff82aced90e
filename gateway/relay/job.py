"""Everything needed to relay one exchange, gathered once before the first attempt.

The rule here: whatever in the relay depends on the dialect is decided here. Attempts and
downstream do not know dialects.
"""

from collections.abc import Iterable

import msgspec
from aiohttp import web

from gateway.config.settings import Settings
from gateway.core.attempts import AttemptRecord
from gateway.core.clock import monotonic
from gateway.core.credential import Credential
from gateway.core.dialect import Dialect
from gateway.core.errors import GatewayError, UpstreamError
from gateway.core.exchange import Exchange
from gateway.core.held_bodies import HeldBody
from gateway.core.trace import AttemptTrace
from gateway.ledger.ledger import Intent
from gateway.limits.limiter import GRANT, NO_LIMITS, Grant
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import (
    CALL,
    CREDENTIAL,
    HELD_BODY,
    PROMPT,
    Call,
    Prompt,
)
from gateway.relay.attempt import Attempt, AttemptLimits
from gateway.relay.deadlines import NEVER, Deadlines
from gateway.relay.heard import HeardReader
from gateway.relay.pumps import OpenAIPump, Pump, TextPump
from gateway.relay.watched_attempt import WatchedAttempt
from gateway.upstream.connection import Connection
from gateway.upstream.gate import Passage
from gateway.upstream.upstreams import Upstream
from gateway.wire.chat_request import ChatRequest, render_chat
from gateway.wire.completions_request import render_completions
from gateway.wire.headers import select_request_headers
from gateway.wire.hops import list_hops
from gateway.wire.render_errors import render_openai_event

END_OF_HEAD = b"\r\n\r\n"
END_OF_EVENT = b"\n\n"

_STREAM_HEADERS = {
    # Unless told otherwise, nginx buffers a stream until it ends (measured).
    "X-Accel-Buffering": "no",
    "Cache-Control": "no-cache, no-store, no-transform",
}
STREAM_HEADERS = {
    Dialect.OPENAI: {"Content-Type": "text/event-stream; charset=utf-8", **_STREAM_HEADERS},
    Dialect.TEXT: {
        "Content-Type": "text/plain; charset=utf-8",
        "x-experimental-stream-data": "false",
        **_STREAM_HEADERS,
    },
}


class Job(msgspec.Struct):
    """One exchange, ready for its attempts; each attempt may use another credential."""

    caller: web.Request
    exchange: Exchange
    call: Call
    settings: Settings
    upstream: Upstream
    request: bytes  # the whole HTTP request for the provider
    held: HeldBody
    credential: Credential | None  # the one that the request carries
    grant: Grant  # what the rules under `limits` granted it
    passage: Passage | None = None  # the current attempt's, through the provider's gate
    intent: Intent | None = None  # the current attempt's entry in the ledger, if one is kept
    has_resent: bool = False  # the request was sent again because a reused connection was dead
    asked_at: float = msgspec.field(default_factory=monotonic)  # the whole request had arrived

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be quoted from an answer."""
        credential = self.credential
        return () if credential is None else (credential.secret.get_secret_value(),)

    @property
    def label(self) -> str:
        """The provider's name as shown to people."""
        return self.call.provider.label

    @property
    def total_at(self) -> float:
        """When the whole exchange must be over, on the loop's clock."""
        return self.exchange.started_at + self.call.provider.timeouts.total_s

    def forget_request(self) -> None:
        """Free the prompt past the commit point, as nothing is sent again; streams may be long."""
        self.request = b""
        self.caller.pop(PROMPT, None)
        self.held.let_go()

    def enter_gate(self) -> None:
        """Ask the gate to let another attempt through; ProviderUnavailableError if it refuses."""
        self.passage = self.upstream.gate.enter(self.exchange.model)

    def leave_gate(self) -> None:
        """Give back the passage of the current attempt; there will be no further verdict on it."""
        if self.passage is not None:
            self.upstream.gate.leave(self.passage)

    def note_success(self) -> None:
        """Tell the gate that the provider answers as it should."""
        if self.passage is not None:
            self.upstream.gate.note_success(self.passage)

    def note_failure(self, error: UpstreamError) -> None:
        """Tell the gate of an error; it counts only if the provider is to blame."""
        if self.passage is not None:
            self.upstream.gate.note_failure(self.passage, error)

    def make_record(self) -> AttemptRecord:
        """The record in which the next attempt is written down."""
        exchange = self.exchange
        record = AttemptRecord(
            exchange.attempts + 1,
            self.call.provider.name,
            exchange.model,
            exchange.credential_id,
            monotonic(),
        )
        trace = exchange.trace
        if trace is not None and trace.is_sampled:
            record.trace = AttemptTrace(trace.attempt_id, self.upstream.host, self.upstream.port)
        return record

    def prepare_again(self, credential: Credential | None) -> None:
        """Prepare the next attempt with this credential (None: the same one) and its own span."""
        trace = self.exchange.trace
        credential = credential or self.credential
        if trace is not None:
            trace.begin_next()
        elif credential is self.credential:
            return
        # A view, so that a prompt of many MiB is not copied twice.
        body = memoryview(self.request)[self.request.index(END_OF_HEAD) + len(END_OF_HEAD) :]
        self.request = _render_request(self.caller, self.upstream, credential, body)
        self.credential = credential

    def make_attempt(self, connection: Connection) -> Attempt:
        """An attempt on this connection."""
        server = self.settings.server
        limits = AttemptLimits(
            self.label, server.max_reply_bytes, server.max_stream_bytes, self.secrets
        )
        pump, deadlines = self._make_pump(), self._make_deadlines()
        allowance = self.grant.allowance
        if allowance is None or pump is None:
            return Attempt(connection, pump, deadlines, limits)
        return WatchedAttempt(connection, pump, deadlines, limits, allowance)

    def _make_pump(self) -> Pump | None:
        """The pump that reads the stream; None when the caller wants a whole reply."""
        if not self.call.stream:
            return None
        pump: Pump
        if self.call.dialect is Dialect.TEXT:
            pump = TextPump()
        else:
            pump = OpenAIPump(wants_usage=self.call.wants_usage, secrets=self.secrets)
        if self.exchange.content is not None:
            pump.listen_with(HeardReader(self.exchange.content))
        return pump

    def _make_deadlines(self) -> Deadlines:
        """The clock of one attempt."""
        timeouts = self.call.provider.timeouts
        commit = self.settings.commit
        is_text = self.call.dialect is Dialect.TEXT
        commit_s = commit.chat_max_wait_s if is_text else commit.v1_max_wait_s
        return Deadlines(
            label=self.label,
            timeouts=timeouts,
            first_content_s=timeouts.first_content_s if self.call.stream else timeouts.reply_s,
            total_at=self.total_at,
            # Counted from the request's end: no proxy times out while it is still being sent.
            commit_at=self.asked_at + commit_s if self.call.stream else NEVER,
            comment_every_s=(
                commit.keep_alive_comment_s if self.call.stream and not is_text else NEVER
            ),
        )

    def last_words(
        self, error: GatewayError, *, already_told: bool, in_event: bool = False
    ) -> bytes:
        """What to write before cutting off a stream that has begun."""
        if self.call.dialect is Dialect.OPENAI:
            if already_told:
                return b""
            event = render_openai_event(error, self.exchange.request_id)
            # After half an event ours would be read as its other half, so end that one first.
            return END_OF_EVENT + event if in_event else event
        if self.call.provider.on_stream_error == "notice":
            return f"\n\n[{error.public}]\n".encode()
        return b""


def make_job(request: web.Request, upstream: Upstream, settings: Settings) -> Job:
    """Gather what the middleware chain has found out about a request."""
    call = request[CALL]
    prompt = request.get(PROMPT)
    if prompt is None:
        raise RuntimeError("A middleware asks again for what is being answered already.")
    credential = request[CREDENTIAL]
    grant = request.get(GRANT, NO_LIMITS)
    body = _render_body(call, prompt, grant.output_cap)
    message = _render_request(request, upstream, credential, body)
    held = request[HELD_BODY]
    exchange = request[EXCHANGE]
    return Job(request, exchange, call, settings, upstream, message, held, credential, grant)


def _render_request(
    request: web.Request,
    upstream: Upstream,
    credential: Credential | None,
    body: bytes | memoryview,
) -> bytes:
    call = request[CALL]
    headers = _list_trace_headers(request, call.provider.name)
    if hops := list_hops(request.headers):
        headers = (*hops, *headers)
    return upstream.render_request(body, credential, headers, stream=call.stream)


def _list_trace_headers(request: web.Request, provider: str) -> Iterable[tuple[str, str]]:
    """The trace headers for the provider: the only caller headers passed on. Most send none."""
    trace = request[EXCHANGE].trace
    if trace is not None:
        return trace.list_headers(provider)
    if "traceparent" in request.headers:
        return select_request_headers(request.headers.items())
    return ()


def _render_body(call: Call, prompt: Prompt, output_cap: int | None) -> bytes:
    provider = call.provider
    if isinstance(prompt, ChatRequest):
        return render_chat(
            prompt,
            model=call.model,
            rules=provider.params,
            max_output=provider.max_output_of(call.model),
            ask_usage=provider.stream_usage,
            output_cap=output_cap,
        )
    return render_completions(
        prompt,
        model=call.model,
        rules=provider.params,
        ask_usage=provider.stream_usage,
        output_cap=output_cap,
    )
