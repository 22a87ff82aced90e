"""`gateway providers`: what the registry holds, as a table.

Rule: says whether a credential was found, never what it is.
"""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.config.credentials import name_places
from gateway.config.load import Registry
from gateway.config.registry import Provider

WIDE = 160  # columns where there is no terminal to ask: a pipe, a log


def print_providers(registry: Registry, console: Console | None = None) -> int:
    """Print one row for each provider."""
    if console is None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDE)
    table = Table(title=str(registry.source), title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("base URL", overflow="fold")
    table.add_column("key field", overflow="fold")
    table.add_column("environment variable", overflow="fold")
    table.add_column("credential", overflow="fold")
    table.add_column("models", overflow="fold")
    for provider in registry.providers.values():
        # As plain text: a square bracket in a name would be read as markup.
        table.add_row(*map(Text, _cells(registry, provider)))
    console.print(table)
    return 0


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
