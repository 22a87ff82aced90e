"""The tables that are made from the models, and the command that writes them into the pages.

The rule here: a table stands between its markers and is never edited by hand.
`python -m tests.docs.tables` writes them anew.
"""

import re
from collections.abc import Callable

from gateway.config.reference import provider_table, settings_table
from gateway.console.admin import build_admin_app
from gateway.console.guard import OPEN
from gateway.console.readiness import Readiness
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


TABLES: dict[str, Callable[[], str]] = {
    "provider-table": provider_table,
    "settings-table": settings_table,
    "admin-table": admin_table,
    "tracing-table": tracing_table,
}
PAGES = {
    "README.md": "provider-table",
    "docs/configure/providers.md": "provider-table",
    "docs/configure/gateway.md": "settings-table",
    "docs/operate/admin.md": "admin-table",
    "docs/operate/tracing.md": "tracing-table",
}


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
    for page, name in PAGES.items():
        (ROOT / page).write_text(with_table(read(page), name), encoding="utf-8")


if __name__ == "__main__":
    main()
