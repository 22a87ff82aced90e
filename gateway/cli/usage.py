"""`gateway usage`: the sums of the ledger.

Rule: what has ended when the command is given is in the sums, also where a running gateway has it
in its journal still.
"""

from collections.abc import Sequence
from pathlib import Path

import typer

from gateway.cli.stores import TIMEOUT_S, run_with_settings
from gateway.cli.usage_table import print_usage
from gateway.config.settings import Settings
from gateway.core.clock import system_clock
from gateway.ledger.bringing_in import bring_in
from gateway.ledger.usage import UsageError, make_query, render_csv, render_json
from gateway.stores.errors import StoreError
from gateway.stores.ledger import LedgerStore
from gateway.stores.opening import find_address, open_ledger_store

FORMATS = ("table", "csv", "json")


def show_usage(
    by: Sequence[str], since: str | None, until: str | None, form: str, config: Path | None
) -> int:
    """Print the sums in one of FORMATS."""
    if form not in FORMATS:
        raise typer.BadParameter("needs to be table, csv or json", param_hint="--format")
    try:
        query = make_query(by, since, until, system_clock())
    except UsageError as error:
        option, _, reason = str(error).partition(": ")
        raise typer.BadParameter(reason, param_hint=f"--{option}") from None

    async def work(settings: Settings) -> int:
        address = find_address(settings.stores)
        if address.file is not None and not address.file.exists():
            raise StoreError(
                f"{address.file} does not exist yet; a gateway with a ledger makes it."
            )
        store = await open_ledger_store(settings.stores, timeout_s=TIMEOUT_S)
        try:
            await _bring_in(settings, store)
            rows = await store.fetch_usage(query)
        finally:
            await store.close()
        if form == "csv":
            typer.echo(render_csv(query, rows), nl=False)
        elif form == "json":
            typer.echo(render_json(query, rows))
        else:
            print_usage(query, rows)
        return 0

    return run_with_settings(config, work)


async def _bring_in(settings: Settings, store: LedgerStore) -> None:
    directory = settings.ledger.directory
    try:
        await bring_in(directory, store)
    except OSError as error:
        _say_missing(directory, f"cannot be read ({error.strerror})")
    except StoreError as error:  # it may be read all the same: its disk is full, or it is a copy
        _say_missing(directory, f"cannot be brought in ({error})")


def _say_missing(directory: Path, why: str) -> None:
    typer.echo(
        f"{directory}: {why}; exchanges that ended in the last few seconds may be missing.",
        err=True,
    )
