"""The handler at the end of the chain: one exchange, from its first attempt to its last byte.

The rule here: until `Downstream.open` every failure is raised and becomes a proper status. After
it a failure breaks the stream off, and only cancellation is raised.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable

from aiohttp import web

from gateway.config.settings import Settings
from gateway.core.clock import Clock, monotonic
from gateway.core.errors import (
    GatewayError,
    ProviderUnavailableError,
    UpstreamError,
    shutting_down,
)
from gateway.core.exchange import Exchange, Outcome
from gateway.core.tasks import Tasks
from gateway.core.upstream_errors import UpstreamConnectError
from gateway.credentials.pools import Pools
from gateway.ledger.ledger import Ledger
from gateway.plugins.keys import CALL, PROMPT
from gateway.plugins.prompts import messages_of
from gateway.relay.attempt import Attempt
from gateway.relay.deadlines import exceed_total
from gateway.relay.downstream import make_response
from gateway.relay.job import STREAM_HEADERS, Job, make_job
from gateway.relay.retries import ExchangeRetries
from gateway.relay.verdict import Whole
from gateway.relay.whole_reply import PIECE_BYTES, send_whole
from gateway.telemetry.content_log import ContentLog
from gateway.upstream.connection import Connection
from gateway.upstream.upstreams import Upstreams

CLIENT_STALLED = "client_stalled"


class Relay:
    """Relays chat exchanges; each application has one."""

    def __init__(
        self,
        upstreams: Upstreams,
        pools: Pools,
        settings: Settings,
        tasks: Tasks,
        clock: Clock,
        ledger: Ledger | None = None,
    ) -> None:
        self._upstreams = upstreams
        self._pools = pools
        self._settings = settings
        self._tasks = tasks
        self._clock = clock
        self._ledger = ledger
        self.content: ContentLog | None = None  # logs prompts and answers, if that is configured
        self._has_stopped = asyncio.Event()
        # Strong references: nothing else refers to an attempt whose caller has left.
        self._attempts: set[Attempt] = set()

    @property
    def attempts_in_flight(self) -> int:
        """Attempts whose answer has not ended, including those whose caller has left."""
        return len(self._attempts)

    def time_next_chunk(self, note: Callable[[float], None]) -> None:
        """Time one chunk of one of the streams; `note` gets the seconds."""
        for attempt in self._attempts:
            if attempt.time_next_chunk(note):
                return

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Relay one request that the chain has let through."""
        upstream = self._upstreams.find(request[CALL].provider)
        job = make_job(request, upstream, self._settings)
        if self.content is not None and self.content.is_on:
            self.content.begin(job.exchange, messages_of(request[PROMPT]))
        try:
            attempt = await self._attempt_until_ready(job)
            whole = attempt.found.whole
            if whole is not None:
                return await self._reply(request, job, attempt, whole)
            return await self._stream(request, job, attempt)
        finally:
            if not job.exchange.detached:
                job.leave_gate()

    def stop(self) -> None:
        """End every answer in flight and everybody waiting for one: the gateway shuts down."""
        self._has_stopped.set()
        self._upstreams.give_up_dials()
        for attempt in list(self._attempts):
            attempt.fail(shutting_down())

    async def _attempt_until_ready(self, job: Job) -> Attempt:
        retries = ExchangeRetries(job.call.provider.retries, self._clock)
        job.enter_gate()
        job.upstream.retry_budget.count_request(job.exchange.started_at)
        while True:
            self._begin_attempt(job)
            try:
                attempt = await self._try(job)
            except UpstreamError as error:
                job.exchange.note_failed_attempt(error, at=monotonic())
                job.note_failure(error)
                wait_s = self._plan_retry(job, retries, error)
                if wait_s is None:
                    self._raise_instead(job, error)
                    raise
                error.__traceback__ = None  # break the cycle: it refers to the attempt
                failed = error
            else:
                if attempt.found.headed_at:  # else only the time to commit has passed
                    self._pools.note_success(job.exchange, job.call)
                    job.note_success()
                return attempt
            job.leave_gate()
            if wait_s:  # no wait if another credential is free
                await self._sleep(wait_s)
            _enter_again(job, failed)
            job.prepare_again(self._pools.take_again(job.exchange, job.call))

    def _plan_retry(self, job: Job, retries: ExchangeRetries, error: UpstreamError) -> float | None:
        """Seconds until another attempt; None when there is to be none."""
        other_s = self._pools.note_failure(job.exchange, job.call, error)
        wait_s = retries.spend(error) if other_s is None else retries.spend_knowing(other_s)
        if wait_s is not None and monotonic() + wait_s >= job.total_at:
            return None  # the total time would end first; the last error says more than a timeout
        # Trying another credential at once is no retry: only the last credential failed, and the
        # pool itself limits how many are tried.
        if wait_s is None or other_s == 0 or job.upstream.retry_budget.take():
            return wait_s
        return None

    async def _sleep(self, wait_s: float) -> None:
        """Wait before a further attempt; ShuttingDownError if the gateway stops meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._has_stopped.wait()
            raise shutting_down()

    def _raise_instead(self, job: Job, error: UpstreamError) -> None:
        """Raise the error that the caller gets instead of the last one, if there is one."""
        other = self._pools.explain_last(job.exchange, job.call, error)
        if other is not None:
            raise other from error

    def _begin_attempt(self, job: Job) -> None:
        record = job.make_record()
        job.exchange.note_attempt(record)
        if self._ledger is not None:
            job.intent = self._ledger.write_ahead(job.exchange, record)

    async def _try(self, job: Job) -> Attempt:
        connection = await self._take_connection(job, fresh=job.has_resent)
        is_reused = connection.served > 0
        attempt = await self._start(job, connection)
        # A provider may close an idle connection just as we use it. Nothing of the request has
        # been served then, so we send it once more, on a fresh connection. Any later attempt uses
        # a fresh one too, so a provider that reads and hangs up gets only one extra request.
        if is_reused and isinstance(attempt.found.error, UpstreamConnectError):
            job.has_resent = True
            lost_s = attempt.found.ended_at - attempt.found.sent_at
            job.exchange.attempt_records[-1].begin_again()
            connection = await self._take_connection(job, fresh=True)
            job.exchange.waited_s += lost_s
            attempt = await self._start(job, connection)
        if attempt.found.error is not None and not attempt.is_committed:
            raise attempt.found.take_error()
        return attempt

    async def _take_connection(self, job: Job, *, fresh: bool = False) -> Connection:
        """A connection; the time to open one is not counted as the gateway's own."""
        began_at = monotonic()
        try:
            connection = await job.upstream.take_connection(fresh=fresh, until=job.total_at)
        except TimeoutError as error:
            if self._has_stopped.is_set():
                raise shutting_down() from error
            raise exceed_total(job.label, job.call.provider.timeouts) from error
        if not connection.served:
            job.exchange.waited_s += monotonic() - began_at
        return connection

    async def _start(self, job: Job, connection: Connection) -> Attempt:
        """Start an attempt and wait until it can be streamed, sent whole, or has failed."""
        attempt = job.make_attempt(connection)
        attempt.when_ended = functools.partial(self._note_end, job)
        attempt.downstream.on_full = functools.partial(self._hold_back, job, attempt)
        self._attempts.add(attempt)
        if job.intent is None:
            attempt.start(job.request)
        else:
            job.intent.when_done(functools.partial(self._send, job, attempt))
        try:
            await attempt.ready
        except asyncio.CancelledError:
            self._stop_relaying(job, attempt)
            raise
        return attempt

    def _send(self, job: Job, attempt: Attempt, refusal: GatewayError | None) -> None:
        """Send the request once the ledger has booked the attempt; take it back if it refuses."""
        if refusal is None:
            try:
                attempt.start(job.request)
            except Exception as error:  # noqa: BLE001 - raised where the caller's task waits
                attempt.ready.set_exception(error)
                attempt.found.sent_at = 0.0
                attempt.abandon()
            return
        self._attempts.discard(attempt)
        attempt.when_ended = None  # nothing happened, so there is nothing to record
        job.exchange.take_back_attempt()
        attempt.fail(refusal)

    async def _reply(
        self, request: web.Request, job: Job, attempt: Attempt, whole: Whole
    ) -> web.StreamResponse:
        _refuse_who_left(job)
        if self.content is not None and job.exchange.content is not None:
            self.content.hear_whole(job.exchange.content, whole.body)
        if len(whole.body) <= PIECE_BYTES:
            job.exchange.bytes_out = len(whole.body)
            # Sends head and body in one write, where StreamResponse takes two.
            return web.Response(
                body=whole.body,
                status=whole.status,
                headers=attempt.found.headers,
                content_type="application/json",
            )
        response = web.StreamResponse(status=whole.status, headers=attempt.found.headers)
        response.content_type = "application/json"
        stall_s = job.call.provider.timeouts.write_stall_s
        job.exchange.ending = Outcome.CLIENT_GONE  # undone below if the caller takes all of it
        if await send_whole(request, response, whole.body, job.exchange, stall_s=stall_s):
            job.exchange.ending = None
        else:
            note_stalled(job.exchange)
        return response

    async def _stream(self, request: web.Request, job: Job, attempt: Attempt) -> web.StreamResponse:
        response = make_response(request, STREAM_HEADERS[job.call.dialect])
        response.headers.extend(attempt.found.headers)
        try:
            await attempt.downstream.open(request, response)
            attempt.note_opened()
            job.exchange.first_relayed_at = monotonic()
            job.forget_request()
            if attempt.is_paused:  # too much arrived between the commit point and the head
                self._tasks.spawn("catch_up", self._catch_up(job, attempt))
            if attempt.found.error is not None:  # it failed while the head was being written
                self._break_off(job, attempt, attempt.found.error)
            await attempt.ended
            await self._finish(job, attempt, response)
        except (asyncio.CancelledError, ConnectionError):
            self._stop_relaying(job, attempt)
            raise
        finally:
            job.exchange.bytes_out = attempt.bytes_out
            attempt.downstream.detach()
            if not job.exchange.detached:
                attempt.abandon()  # has an effect only if the head could not be sent
        return response

    async def _finish(self, job: Job, attempt: Attempt, response: web.StreamResponse) -> None:
        _refuse_who_left(job)
        downstream, last = attempt.downstream, attempt.last
        stall_s = job.call.provider.timeouts.write_stall_s
        if last and downstream.unsent_bytes:
            # aiohttp would write it with the framing, and wait for a slow caller with no deadline.
            downstream.put([last])
            last = b""
        if not await downstream.drain(stall_s):
            note_stalled(job.exchange)
        await downstream.reset(stall_s=stall_s)
        downstream.close(response, last)

    def _stop_relaying(self, job: Job, attempt: Attempt) -> None:
        """The handler was cancelled: the caller left, or a middleware lost patience."""
        if _has_left(job.caller):
            self._leave(job, attempt)
        else:
            attempt.downstream.detach()
            attempt.abandon()

    def _leave(self, job: Job, attempt: Attempt) -> None:
        """The caller is gone: end the answer, or read it to its end to learn its usage."""
        job.exchange.ending = Outcome.CLIENT_GONE
        attempt.downstream.detach()
        if attempt.has_ended:
            return
        if job.call.provider.on_client_gone == "drain":
            job.exchange.detached = True
            job.forget_request()
            attempt.resume()
        else:
            attempt.abandon()

    def _hold_back(self, job: Job, attempt: Attempt) -> None:
        """The caller reads too slowly: stop reading from the provider until they catch up."""
        downstream = attempt.downstream
        if attempt.is_paused or not (downstream.is_open or attempt.ready.done()):
            return  # before the commit point the attempt itself limits what is held
        attempt.pause()
        if downstream.is_open:
            self._tasks.spawn("catch_up", self._catch_up(job, attempt))

    async def _catch_up(self, job: Job, attempt: Attempt) -> None:
        if await attempt.downstream.drain(job.call.provider.timeouts.write_stall_s):
            attempt.resume()
        else:  # `drain` cut the connection, which cancels the handler and ends the attempt
            note_stalled(job.exchange)

    def _note_end(self, job: Job, attempt: Attempt) -> None:
        """Record what happened; break the stream off if it failed after it had begun."""
        self._attempts.discard(attempt)
        exchange, found = job.exchange, attempt.found
        found.note_on(exchange)
        found.note_in(exchange.attempt_records[-1])
        if found.error is not None and attempt.downstream.is_open:
            self._break_off(job, attempt, found.error)
        if found.error is None and found.first_content_at:
            job.note_success()  # not noted yet if the head was sent before any answer came
        if exchange.detached:
            if isinstance(found.error, UpstreamError):
                self._pools.note_failure(exchange, job.call, found.error)
                job.note_failure(found.error)
            job.leave_gate()
            exchange.settle(Outcome.CLIENT_GONE, at=found.ended_at)

    def _break_off(self, job: Job, attempt: Attempt, error: GatewayError) -> None:
        note_failure(job.exchange, error)
        if isinstance(error, UpstreamError):  # a 401 counts even if the head was sent early
            self._pools.note_failure(job.exchange, job.call, error)
            job.note_failure(error)
        attempt.downstream.break_off(
            job.last_words(
                error,
                already_told=attempt.found.fault_was_relayed,
                in_event=attempt.found.left_event_open,
            ),
            stall_s=job.call.provider.timeouts.write_stall_s,
        )


def _has_left(caller: web.Request) -> bool:
    transport = caller.transport
    return transport is None or transport.is_closing()


def _refuse_who_left(job: Job) -> None:
    """Raise if the caller left just as the answer ended, and so never gets its end."""
    if job.exchange.ending is None and _has_left(job.caller):
        raise ConnectionResetError("The caller left as the answer ended.")


def _enter_again(job: Job, failed: UpstreamError) -> None:
    """Ask the gate to let a further attempt through; if it refuses, raise the last error."""
    with contextlib.suppress(ProviderUnavailableError):
        job.enter_gate()
        return
    raise failed  # outside the `with`, or it would be chained to the other error: a cycle


def note_failure(exchange: Exchange, error: GatewayError) -> None:
    """Record on the exchange why its stream was broken off."""
    exchange.error_code = error.code
    exchange.error_detail = error.detail or error.public
    exchange.ending = (
        Outcome.UPSTREAM_FAILED if isinstance(error, UpstreamError) else Outcome.POLICY_STOPPED
    )


def note_stalled(exchange: Exchange) -> None:
    """Record on the exchange that its caller stopped reading."""
    exchange.error_code = CLIENT_STALLED
    exchange.ending = Outcome.CLIENT_GONE
