"""Events of the processes themselves.

The rule here: one line for each event; its fields are explained in `fields`.
"""

from gateway.core.events.event import make_event

EVENTS = (
    make_event(
        "config.needs_restart",
        "warning",
        "gateway.yaml was read anew, and it or providers.yaml says something new beside `logging`, "
        "which holds from the next start on",
        "settings",
    ),
    make_event(
        "config.reload_failed",
        "error",
        "gateway.yaml was to be read anew and has a mistake; what was there before stays",
        "problem count",
    ),
    make_event(
        "config.reloaded",
        "info",
        "the `logging` block was read anew",
        "generation settings",
    ),
    make_event(
        "gateway.crashed",
        "critical",
        "a process ends by a mistake of ours, or of something that it loaded",
        "exception",
    ),
    make_event("gateway.draining", "info", "a process was told to stop", "in_flight"),
    make_event(
        "gateway.started",
        "info",
        "a process listens; `0.0.0.0` and `[::]` are all addresses",
        "url admin_url worker",
    ),
    make_event("gateway.stopped", "info", "a process has let go of everything"),
    make_event(
        "library.logged",
        "warning error critical",
        "what a library had to say",
        "logger message exception",
        is_limited=True,
    ),
    make_event(
        "log.lines_dropped",
        "warning",
        "nobody took the lines, the disk was full, or it was not there; some are missing here",
        "count for_s",
    ),
    make_event(
        "log.lines_withheld",
        "warning",
        "an event came too often with the same reason; some of its lines were not written",
        "of reason count",
    ),
    make_event(
        "loop.blocked",
        "error",
        "the event loop has not come round; once for each time, while it lasts",
        "for_s stack",
    ),
    make_event(
        "loop.lagged",
        "warning",
        "the event loop came late; every ten seconds at most",
        "lag_s times",
    ),
    make_event(
        "metrics.not_shared",
        "error",
        "what a worker counts cannot be told to the others, because no memory is left; once, until "
        "it can again",
        "worker",
    ),
    make_event(
        "systemd.not_told",
        "warning",
        "[systemd](systemd.md) could not be told how the gateway fares; said once",
        "reason",
    ),
    make_event(
        "task.crashed", "error", "a background task died", "task exception", is_limited=True
    ),
    make_event("thread.crashed", "error", "a thread died", "thread exception"),
    make_event(
        "worker.died",
        "error",
        "one of [several workers](workers.md) ended",
        "worker exit_code lived_s",
    ),
    make_event(
        "middleware.failed",
        "error",
        "a middleware of the operator's made a mistake, or took too long",
        "request_id middleware exception",
        is_limited=True,
    ),
    make_event(
        "middleware.skipped",
        "warning",
        "a middleware that is `optional` cannot be loaded",
        "middleware reason",
    ),
    make_event(
        "tracing.collector_answers",
        "info",
        "the collector of [traces](tracing.md) takes spans again",
        "dropped",
    ),
    make_event(
        "tracing.collector_failing",
        "warning",
        "the collector of [traces](tracing.md) does not take spans; once, until it does again",
        "reason",
    ),
    make_event(
        "tracing.spans_dropped",
        "warning",
        "the collector of [traces](tracing.md) answers and is too slow, so that some spans had no "
        "place; every ten seconds at most",
        "count",
    ),
    make_event(
        "tracing.spans_lost",
        "warning",
        "a process has stopped, and some spans were not sent that no line before has counted",
        "count",
    ),
    make_event(
        "worker.hung",
        "error",
        "the event loop of a worker has stood still for `server.worker_timeout_s`; it is killed, "
        "and another one started",
        "worker pid for_s",
    ),
    make_event("worker.killed", "error", "a worker did not stop in its time", "worker pid"),
    make_event("worker.not_started", "error", "a worker cannot be started again", "worker reason"),
)
