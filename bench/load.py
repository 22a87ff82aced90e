"""The load generator's process: reads jobs, runs them, answers with what it counted.

The rule here: one line of JSON in, one line of JSON out, until its standard input ends.
"""

import asyncio
import gc
import math
import sys
import time
from collections import deque
from dataclasses import dataclass

import msgspec
import uvloop

from bench.accounting import read_cpu_ns, read_rss_bytes, read_wait_ns
from bench.calls import Call, Caller, Totals
from bench.jobs import Arrive, Hold, Job, Outcome, Repeat, Surge, Watch
from bench.surge import run_surge

# After a failure, so that a system that refuses everything is not flooded.
REOPEN_S = 0.05
# Timers of event loops are as coarse as this; the rest of the way is spun.
TIMER_STEP_S = 0.0015
# Streams that may wait for their first content at a time while thousands are opened.
OPENING_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Moment:
    """All counters at one moment."""

    time_s: float
    exchanges: int
    chunks: int
    body_bytes: int
    system_ns: int
    waited_ns: int
    upstream_ns: int
    load_ns: int


def read_counters(totals: Totals, watch: Watch) -> Moment:
    """Read everything at once: the figures are differences of two of these."""
    return Moment(
        time_s=time.perf_counter(),
        exchanges=totals.exchanges,
        chunks=totals.chunks,
        body_bytes=totals.body_bytes,
        system_ns=read_cpu_ns(watch.system),
        waited_ns=read_wait_ns(watch.system),
        upstream_ns=read_cpu_ns(watch.upstream),
        load_ns=time.process_time_ns(),
    )


async def watch_window(totals: Totals, watch: Watch, window_s: float) -> Outcome:
    """What is counted from now until the window is over."""
    begin = read_counters(totals, watch)
    await asyncio.sleep(window_s)
    end = read_counters(totals, watch)
    return Outcome(
        window_s=end.time_s - begin.time_s,
        exchanges=end.exchanges - begin.exchanges,
        chunks=end.chunks - begin.chunks,
        body_bytes=end.body_bytes - begin.body_bytes,
        system_cpu_ns=end.system_ns - begin.system_ns,
        system_wait_ns=end.waited_ns - begin.waited_ns,
        upstream_cpu_ns=end.upstream_ns - begin.upstream_ns,
        load_cpu_ns=end.load_ns - begin.load_ns,
    )


async def run_repeat(job: Repeat) -> Outcome:
    """Keep every connection busy; count while the window is open."""
    caller = Caller(job.ask, job.patience_s)
    step_s = job.ramp_s / job.connections
    loop = asyncio.get_running_loop()
    keeping = [
        loop.create_task(keep_asking(caller, number * step_s)) for number in range(job.connections)
    ]
    await asyncio.sleep(job.ramp_s + job.settle_s)
    outcome = await watch_window(caller.totals, job.watch, job.window_s)
    await end_all(keeping)
    await caller.hang_up(job.patience_s)
    return msgspec.structs.replace(outcome, failures=dict(caller.totals.failures))


async def keep_asking(caller: Caller, delay_s: float) -> None:
    """Hold one connection in use, and open it again when it is lost."""
    await asyncio.sleep(delay_s)
    while True:
        call = await caller.open_call(lambda call: call.ask(time.perf_counter()))
        if call is not None:
            call.ask(time.perf_counter())
            await asyncio.shield(call.lost)
        await asyncio.sleep(REOPEN_S)


async def run_arrive(job: Arrive) -> Outcome:
    """Send on schedule and time every answer from the moment it was due."""
    loop = asyncio.get_running_loop()
    caller = Caller(job.ask, job.patience_s)
    idle: deque[Call] = deque()
    sending = []
    first_s = time.perf_counter() + TIMER_STEP_S
    caller.totals.timed_from_s = first_s + job.warm_s
    for number in range(round(job.per_s * (job.warm_s + job.window_s))):
        due_s = first_s + number / job.per_s
        await sleep_until(due_s)
        call = take_idle(idle)
        if call is not None:
            call.ask(due_s)
        else:
            sending.append(loop.create_task(open_and_ask(caller, idle, due_s)))
    await wait_for_answers(caller, sending, idle, job.patience_s)
    await caller.hang_up(job.patience_s)
    totals = caller.totals
    return Outcome(
        exchanges=totals.exchanges,
        chunks=totals.chunks,
        failures=dict(totals.failures),
        first_content_s=tuple(totals.first_content_s),
    )


def take_idle(idle: deque[Call]) -> Call | None:
    """A connection that waits for work and is still open."""
    while idle:
        call = idle.pop()
        if not call.lost.done():
            return call
    return None


async def open_and_ask(caller: Caller, idle: deque[Call], due_s: float) -> None:
    """Ask on a new connection, which serves others later."""
    call = await caller.open_call(idle.append)
    if call is not None:
        call.ask(due_s)


async def wait_for_answers(
    caller: Caller, sending: list[asyncio.Task[None]], idle: deque[Call], patience_s: float
) -> None:
    """Give the answers that are under way the time that an answer may take."""
    await asyncio.gather(*sending)
    end_s = time.perf_counter() + patience_s + 2 * REOPEN_S
    # No event: it would have to be looked at after every answer, in the middle of the timing.
    while len(idle) < len(caller.calls) and time.perf_counter() < end_s:  # noqa: ASYNC110 - above
        await asyncio.sleep(REOPEN_S)


async def sleep_until(due_s: float) -> None:
    """Return at this time, more exactly than a timer can."""
    ahead_s = due_s - time.perf_counter() - TIMER_STEP_S
    await asyncio.sleep(max(0, ahead_s))
    while time.perf_counter() < due_s:  # noqa: ASYNC110 - no event comes at so exact a time
        await asyncio.sleep(0)


async def run_hold(job: Hold) -> Outcome:
    """Open all streams, let them flow, and read how much memory has come."""
    caller = Caller(job.ask, job.patience_s)
    idle_bytes = read_rss_bytes(job.watch.system)
    turns = asyncio.Semaphore(OPENING_AT_ONCE)
    await asyncio.gather(*(open_stream(caller, turns, job) for _ in range(job.streams)))
    await asyncio.sleep(job.settle_s)
    loaded_bytes = read_rss_bytes(job.watch.system)
    open_streams = len(caller.calls)
    await caller.hang_up(math.inf)  # they were not to end
    return Outcome(
        chunks=caller.totals.chunks,
        failures=dict(caller.totals.failures),
        idle_bytes=idle_bytes,
        loaded_bytes=loaded_bytes,
        open_streams=open_streams,
    )


def fail_early(call: Call) -> None:
    """A stream that was to stay open has ended."""
    call.fail("ended early")


async def open_stream(caller: Caller, turns: asyncio.Semaphore, job: Hold) -> None:
    """One stream, until its first content is there."""
    async with turns:
        call = await caller.open_call(fail_early)
        if call is None:
            return
        call.ask(time.perf_counter())
        done, _ = await asyncio.wait(
            [call.flowing, call.lost],
            timeout=job.patience_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not done:
            caller.totals.failures["no content"] += 1
            call.hang_up(math.inf)


async def end_all(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_job(job: Job) -> Outcome:
    """Run one job of any kind."""
    match job:
        case Repeat():
            return await run_repeat(job)
        case Arrive():
            return await run_arrive(job)
        case Surge():
            return await run_surge(job)
        case Hold():
            return await run_hold(job)


def main() -> None:
    """Serve jobs until standard input ends."""
    gc.disable()  # between jobs only: a pause would look like a slow system
    decoder = msgspec.json.Decoder(Job)
    for line in sys.stdin.buffer:
        outcome = uvloop.run(run_job(decoder.decode(line)))
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
        sys.stdout.buffer.flush()
        gc.collect()


if __name__ == "__main__":
    main()
