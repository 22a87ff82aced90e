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
        "Redis ran the script and it failed, which is a mistake of ours",
        "operation error",
        is_limited=True,
    ),
    make_event(
        "counters.settlements_lost",
        "warning",
        "Redis was never told what some requests used",
        "redis count",
    ),
    make_event(
        "ledger.backlog_drained", "info", "the [ledger](ledger.md)'s journal has less again"
    ),
    make_event("ledger.backlog_full", "error", "the journal has `max_backlog_bytes`", "reason"),
    make_event(
        "ledger.damaged",
        "error",
        "lines of this process's journal could not be read",
        "lines kept",
    ),
    make_event(
        "ledger.given_up",
        "error",
        "at the stop: exchanges that neither the database nor a file has taken; `lost` of them "
        "will be booked as `lost`, and the others are in no book",
        "count lost tokens_in tokens_out cost_micros",
    ),
    make_event(
        "ledger.journal_failed",
        "error",
        "no line can be written into the ledger's journal",
        "reason",
    ),
    make_event("ledger.journal_recovered", "info", "lines can be written again"),
    make_event(
        "ledger.journal_unreadable",
        "error",
        "what a dead process has left cannot be read; it is tried again every minute, and said "
        "once",
        "journal reason",
    ),
    make_event(
        "ledger.recovered",
        "info",
        "the journal of a dead process was brought in",
        "journal settled lost damaged",
    ),
    make_event(
        "ledger.row_given_up",
        "error",
        "at the stop: one of these exchanges",
        "id request_id principal provider model outcome tokens_in tokens_out cost_micros",
    ),
    make_event(
        "ledger.row_refused",
        "error",
        "the database will never take a row",
        "id reason kept_in",
    ),
    make_event("ledger.store_down", "error", "the database takes no rows of the ledger", "reason"),
    make_event("ledger.store_up", "info", "the database takes rows again"),
    make_event("ledger.sync_failed", "error", "the disk does not sync the journal", "reason"),
    make_event("ledger.sync_recovered", "info", "the disk syncs the journal again"),
    make_event(
        "limits.begun_anew",
        "warning",
        "rules for a day or a month that count from nothing since this start, because the ledger "
        "does not tell groups and addresses apart",
        "rules",
    ),
    make_event(
        "limits.recall_failed",
        "warning",
        "the ledger does not answer, so what was spent before the start does not count yet; once",
        "reason",
    ),
    make_event(
        "limits.recalled",
        "info",
        "days and months go on where the ledger says, at the start or in a "
        "[Redis](limits.md#counters-in-redis) that begins anew",
        "rules",
    ),
    make_event(
        "limits.unpriced",
        "warning",
        "at the start: models that a budget of money is going to refuse",
        "sentence",
    ),
)
