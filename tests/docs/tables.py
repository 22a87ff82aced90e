"""The tables that are made from the models, and the command that writes them into the pages.

The rule here: a table stands between its markers and is never edited by hand.
`python -m tests.docs.tables` writes them anew.
"""

import re
from collections.abc import Callable, Iterable

from gateway.config.reference import provider_table, settings_table
from gateway.console.admin import build_admin_app
from gateway.console.guard import OPEN
from gateway.console.readiness import Readiness
from gateway.core.events import EVENTS
from gateway.core.events.exchange import EXCHANGE_FIELDS, LINE_FIELDS
from gateway.core.events.fields import FIELDS
from gateway.telemetry.definitions import genai_table, metrics_table
from gateway.telemetry.tracing.attributes import tracing_table
from tests.docs.pages import ROOT, read


def admin_table() -> str:
    """Every page of the admin listener, as the router has it and its handler says."""
    router = build_admin_app(Readiness(), render_metrics=lambda: b"").router
    rows = [
        f"| `{route.method} {path}` | {'nobody' if path in OPEN else 'an admin'} | "
        f"{(route.handler.__doc__ or '').splitlines()[0]} |\n"
        for resource in router.resources()
        for path in [resource.canonical]
        for route in resource
        if route.method != "HEAD"
    ]
    return "| page | wants the key of | what it gives |\n|---|---|---|\n" + "".join(rows)


def exchange_table() -> str:
    """Every field of an exchange's line."""
    rows = ((f"`{name}`", means) for name, means in {**LINE_FIELDS, **EXCHANGE_FIELDS}.items())
    return render_table(("field", "what it is"), rows)


def event_table() -> str:
    """Every event, and what its lines hold beside time, level and name."""
    rows = (
        (
            f"`{event.name}`",
            ", ".join(event.levels),
            "" if event.fields == tuple(EXCHANGE_FIELDS) else _names(event.fields),
            event.means,
        )
        for event in EVENTS.values()
    )
    return render_table(("event", "level", "fields", "means"), rows)


def other_fields_table() -> str:
    """What the fields of those lines mean."""
    return render_table(
        ("field of other lines", "what it is"),
        ((f"`{name}`", means) for name, means in FIELDS.items()),
    )


def render_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a table in Markdown."""
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    return f"| {' | '.join(head)} |\n{'|---' * len(head)}|\n{text}"


def _names(fields: Iterable[str]) -> str:
    return ", ".join(f"`{field}`" for field in fields)


TABLES: dict[str, Callable[[], str]] = {
    "metrics-table": metrics_table,
    "genai-table": genai_table,
    "provider-table": provider_table,
    "settings-table": settings_table,
    "admin-table": admin_table,
    "tracing-table": tracing_table,
    "exchange-table": exchange_table,
    "event-table": event_table,
    "other-fields-table": other_fields_table,
}
PLACES = (
    ("README.md", "provider-table"),
    ("docs/configure/providers.md", "provider-table"),
    ("docs/configure/gateway.md", "settings-table"),
    ("docs/operate/admin.md", "admin-table"),
    ("docs/operate/metrics.md", "metrics-table"),
    ("docs/operate/metrics.md", "genai-table"),
    ("docs/operate/tracing.md", "tracing-table"),
    ("docs/operate/logs.md", "exchange-table"),
    ("docs/operate/logs.md", "event-table"),
    ("docs/operate/logs.md", "other-fields-table"),
)


def with_table(text: str, name: str) -> str:
    """Give a page's text with one table as the models have it now."""
    begin, end = (re.escape(f"<!-- {name}: {word} -->\n") for word in ("begin", "end"))
    written, count = re.subn(
        rf"({begin}).*?({end})",
        lambda found: f"{found[1]}{TABLES[name]()}{found[2]}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"the page has {count} places for {name}")
    return written


def main() -> None:
    """Write every table into its page."""
    for page, name in PLACES:
        (ROOT / page).write_text(with_table(read(page), name), encoding="utf-8")


if __name__ == "__main__":
    main()
