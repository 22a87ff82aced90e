"""Every log event of the gateway: the one source of what is written, documented and configured.

The rule here: an event or field that is not declared is not logged; tests fail on it. To add one:
write it into the list that it belongs to (`callers`, `stores` or `lifecycle`), with its level, a
sentence and its fields; explain each new field in `fields`; run `python -m tests.docs.tables`.
Log it with keyword arguments and its name as a literal: `_log.info("thing.happened", count=1)`.
"""

from collections.abc import Iterable

from gateway.core.events import callers, exchange, lifecycle, stores
from gateway.core.events.event import LogEvent

EVENTS: dict[str, LogEvent] = {
    event.name: event
    for event in sorted(
        (*exchange.EVENTS, *callers.EVENTS, *stores.EVENTS, *lifecycle.EVENTS),
        key=lambda event: event.name,
    )
}


def find_undeclared(event: str, level: str, fields: Iterable[str]) -> str | None:
    """What nobody has declared of a line; None when all of it is."""
    declared = EVENTS.get(event)
    if declared is None:
        return f"the event {event}"
    if level not in declared.levels:
        return f"the level {level} of {event}"
    unknown = sorted(set(fields) - set(declared.fields))
    return f"{', '.join(unknown)} of {event}" if unknown else None
