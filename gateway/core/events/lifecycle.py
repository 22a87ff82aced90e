"""Events of the processes themselves.

The rule here: one line for each event; its fields are explained in `fields`.
"""

from gateway.core.events.event import make_event

EVENTS = (
    make_event(
        "config.needs_restart",
        "warning",
        (
            "gateway.yaml was reloaded; it or providers.yaml has changes outside "
            "`logging` that need a restart"
        ),
        "settings",
    ),
    make_event(
        "config.reload_failed",
        "error",
        ("gateway.yaml could not be reloaded because it has a mistake; the old settings stay"),
        "problem count",
    ),
    make_event(
        "config.reloaded",
        "info",
        "the `logging` block was reloaded",
        "generation settings",
    ),
    make_event(
        "gateway.crashed",
        "critical",
        ("a process ends because of a bug in the gateway, or in something that it loaded"),
        "exception",
    ),
    make_event("gateway.draining", "info", "a process was told to stop", "in_flight"),
    make_event(
        "gateway.started",
        "info",
        ("a process is listening; `0.0.0.0` and `[::]` mean all addresses"),
        "url admin_url worker",
    ),
    make_event("gateway.stopped", "info", "a process has closed everything and ends"),
    make_event(
        "library.logged",
        "warning error critical",
        "a message of a library",
        "logger message exception",
        is_limited=True,
    ),
    make_event(
        "log.lines_dropped",
        "warning",
        (
            "lines could not be written, because nobody read them, or the disk was full "
            "or missing; some are missing here"
        ),
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
        ("the event loop is stuck; logged once each time, while it lasts"),
        "for_s stack",
    ),
    make_event(
        "loop.lagged",
        "warning",
        "the event loop lagged; every ten seconds at most",
        "lag_s times",
    ),
    make_event(
        "metrics.not_shared",
        "error",
        (
            "a worker cannot share its numbers with the others, because shared memory is "
            "full; logged once, until it can again"
        ),
        "worker",
    ),
    make_event(
        "systemd.not_told",
        "warning",
        ("[systemd](systemd.md) could not be notified of the gateway's state; logged once"),
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
        "a middleware of the operator failed, or took too long",
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
        "the collector of [traces](tracing.md) accepts spans again",
        "dropped",
    ),
    make_event(
        "tracing.collector_failing",
        "warning",
        (
            "the collector of [traces](tracing.md) does not accept spans; logged once, "
            "until it does again"
        ),
        "reason",
    ),
    make_event(
        "tracing.spans_dropped",
        "warning",
        (
            "the collector of [traces](tracing.md) is too slow, so that some spans were "
            "dropped; every ten seconds at most"
        ),
        "count",
    ),
    make_event(
        "tracing.spans_lost",
        "warning",
        ("a process has stopped without sending some spans that no earlier line has counted"),
        "count",
    ),
    make_event(
        "worker.hung",
        "error",
        (
            "the event loop of a worker has been stuck for `server.worker_timeout_s`; the "
            "worker is killed and replaced"
        ),
        "worker pid for_s",
    ),
    make_event("worker.killed", "error", "a worker did not stop in time", "worker pid"),
    make_event("worker.not_started", "error", "a worker cannot be started again", "worker reason"),
)
