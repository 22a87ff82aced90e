"""`gateway providers`: what the registry holds, as a table.

Rule: says whether a credential was found, never what it is.
"""

from rich.console import Console
from rich.table import Table

from gateway.cli.tables import add_row, find_console
from gateway.config.credentials import name_places
from gateway.config.load import Registry
from gateway.config.registry import Provider

NARROW = 120  # below it six columns of what ships are a few letters wide each
USUAL = 80  # columns of a terminal that nobody has made wider
WIDEST_VARIABLE = 24
WIDEST_CREDENTIAL = 12
HEADERS = ("name", "base URL", "key field", "environment variable", "credential", "models")


def print_providers(registry: Registry, console: Console | None = None) -> int:
    """Print one row for each provider."""
    console = console or find_console()
    rows = [_cells(registry, provider) for provider in registry.providers.values()]
    table = Table(title=str(registry.source), title_justify="left")
    if console.width < NARROW:
        _add_narrow_columns(table, rows, is_usual=console.width >= USUAL)
        rows = [_stack(row) for row in rows]
    else:
        table.add_column("name", no_wrap=True)
        for header in HEADERS[1:]:
            table.add_column(header, overflow="fold")
    for row in rows:
        add_row(table, row)
    console.print(table)
    return 0


def _add_narrow_columns(table: Table, rows: list[tuple[str, ...]], *, is_usual: bool) -> None:
    """What people copy stays in one piece, if it can; the rest is stacked beside it."""
    table.show_lines = True
    table.add_column(HEADERS[0], no_wrap=True)
    widest = max((len(line) for row in rows for line in row[3].splitlines()), default=0)
    whole = min(widest, WIDEST_VARIABLE) if is_usual else None
    table.add_column(HEADERS[3], overflow="fold", min_width=whole)
    table.add_column(HEADERS[4], overflow="fold", max_width=WIDEST_CREDENTIAL)
    table.add_column("\n".join((HEADERS[1], HEADERS[2], HEADERS[5])), overflow="fold")


def _stack(row: tuple[str, ...]) -> tuple[str, ...]:
    name, base_url, key, variable, credential, models = row
    return name, variable, credential, "\n".join((base_url, key, models.replace(", ", "\n")))


def _cells(registry: Registry, provider: Provider) -> tuple[str, ...]:
    """Return the cells of one provider's row."""
    models = ", ".join(model.id for model in provider.models)
    return (
        provider.name,
        provider.base_url,
        provider.key,
        "\n".join(name_places(provider)),
        _credential(registry, provider),
        models or "any",
    )


def _credential(registry: Registry, provider: Provider) -> str:
    """Return whether the provider can be called, as far as its credential goes."""
    found = registry.credentials.get(provider.name, ())
    written = len(provider.credentials)
    if written > 1:
        names = "".join(f"\n{credential.id}" for credential in found)
        return f"{len(found)} of {written}{':' if names else ''}{names}"
    if found:
        return "yes"
    if provider.is_custom:
        return "of each model"
    if provider.is_placeholder:
        return "no (EXAMPLE in base URL)"
    return "no" if provider.needs_credential else "not needed"
