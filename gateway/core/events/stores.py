"""Events around limits and the ledger, and where they are kept.

The rule here: one line for each event; its fields are explained in `fields`.
"""

from gateway.core.events.event import make_event

EVENTS = (
    make_event(
        "counters.redis_lost",
        "error",
        "limits are counted without [Redis](limits.md#when-redis-is-gone)",
        "redis reason shares",
    ),
    make_event("counters.redis_regained", "warning", "Redis counts again", "redis down_s told"),
    make_event(
        "counters.script_failed",
        "error",
        "the script failed in Redis, which is a bug in the gateway",
        "operation error",
        is_limited=True,
    ),
    make_event(
        "counters.settlements_lost",
        "warning",
        (
            "what some requests used was never counted in Redis; logged with the first of "
            "them, and with the others once Redis is back or the process stops"
        ),
        "redis count",
    ),
    make_event(
        "ledger.backlog_drained",
        "info",
        "the [ledger](ledger.md)'s journal is below its limit again",
    ),
    make_event("ledger.backlog_full", "error", "the journal has `max_backlog_bytes`", "reason"),
    make_event(
        "ledger.damaged",
        "error",
        "lines of this process's journal could not be read",
        "lines journal",
    ),
    make_event(
        "ledger.given_up",
        "error",
        (
            "at shutdown: exchanges that could be written neither to the database nor to "
            "a file; `lost` of them will be booked as `lost`, the others not at all"
        ),
        "count lost tokens_in tokens_out cost_micros",
    ),
    make_event(
        "ledger.journal_failed",
        "error",
        "nothing can be written to the ledger's journal",
        "reason",
    ),
    make_event("ledger.journal_recovered", "info", "lines can be written again"),
    make_event(
        "ledger.journal_unreadable",
        "error",
        (
            "what a dead process left behind cannot be read; it is retried every minute, "
            "and logged once"
        ),
        "journal reason",
    ),
    make_event(
        "ledger.recovered",
        "info",
        "the journal of a dead process was written to the database",
        "journal settled lost damaged",
    ),
    make_event(
        "ledger.row_given_up",
        "error",
        "at shutdown: one of these exchanges",
        "id request_id principal provider model outcome tokens_in tokens_out cost_micros",
    ),
    make_event(
        "ledger.row_refused",
        "error",
        "the database will never accept a row",
        "id reason kept_in",
    ),
    make_event(
        "ledger.store_down",
        "error",
        "rows of the ledger cannot be written to the database",
        "reason",
    ),
    make_event("ledger.store_up", "info", "rows can be written to the database again"),
    make_event("ledger.sync_failed", "error", "the disk does not sync the journal", "reason"),
    make_event("ledger.sync_recovered", "info", "the disk syncs the journal again"),
    make_event(
        "limits.begun_anew",
        "warning",
        (
            "rules for a day or a month that start from zero, because the ledger does not "
            "record groups and addresses"
        ),
        "rules",
    ),
    make_event(
        "limits.recall_failed",
        "warning",
        (
            "the ledger does not answer, so what was spent before the start is not "
            "counted yet; logged once"
        ),
        "reason",
    ),
    make_event(
        "limits.recalled",
        "info",
        (
            "counters of days and months were restored from the ledger, at startup or "
            "after [Redis](limits.md#counters-in-redis) lost its memory"
        ),
        "rules",
    ),
    make_event(
        "limits.unpriced",
        "warning",
        "at startup: models that a budget will refuse",
        "sentence",
    ),
)
