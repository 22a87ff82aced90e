"""`gateway keys …`: the names and options of its commands.

The rule here: this file imports typer alone, as `main` does. A key goes to standard output, alone
on its line; whatever else there is to say goes to standard error.
"""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.commands import FLAG, ConfigOption, FormatOption, ProvidersOption, run

STDIN = "-"
PREFIX = "gw_"  # what a key of the gateway begins with
TRY_S = 20.0

app = typer.Typer(
    help="Create, list and disable the gateway's own keys; test keys and provider credentials.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of the key's holder, as shown in the log.")]


@app.command()
def create(  # noqa: PLR0913 - each is an option of the command
    name: Name,
    *,
    tenant: Annotated[str, typer.Option(help="The holder's tenant.")] = "",
    group: Annotated[
        list[str] | None, typer.Option(help="A group of the holder; may be repeated.")
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(help="A provider the key may call; may be repeated. Default: all."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A PROVIDER/MODEL the key may call; may be repeated. Default: all."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="A network the key works from, such as 10.1.0.0/16; may be repeated. Default: any."
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="When the key expires: after 30d or 12h, or at a date such as 2027-01-01 (UTC) or "
            "2027-01-01T00:00+01:00. Default: never."
        ),
    ] = None,
    config: ConfigOption = None,
    registry: Annotated[
        Path | None,
        typer.Option(
            "--providers",
            help="Providers file to check --provider and --model against. Default: "
            "./providers.yaml, if there is one.",
        ),
    ] = None,
) -> None:
    """Create a key and print it; it cannot be printed again."""
    lists = {"groups": group, "providers": provider, "models": model, "networks": network}
    run(
        "keys create",
        name=name,
        tenant=tenant,
        lists=lists,
        expires=expires,
        config=config,
        registry=registry,
    )


@app.command("list")
def list_keys(
    output: FormatOption = "table",
    config: ConfigOption = None,
) -> None:
    """List the keys, without the secrets themselves."""
    run("keys list", output=output, config=config)


@app.command()
def show(name: Name, config: ConfigOption = None) -> None:
    """Show one key, without the secret itself."""
    run("keys show", name=name, config=config)


@app.command()
def rotate(
    name: Name,
    overlap: Annotated[
        str, typer.Option(help="How long the old key still works, such as 24h; 0s ends it now.")
    ] = "24h",
    config: ConfigOption = None,
) -> None:
    """Print a new key for the same holder; the old one works until the overlap is over."""
    run("keys rotate", name=name, overlap=overlap, config=config)


@app.command()
def disable(name: Name, config: ConfigOption = None) -> None:
    """Disable a key; running gateways refuse it within ten seconds."""
    run("keys disable", name=name, config=config)


@app.command("test")
def try_keys(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROVIDER]... | KEY",
            help=(
                "Providers to try the gateway's credentials at; default: all that have one. "
                "Or one gateway key, gw_…; `-` reads it from standard input, which keeps it out of "
                "the process list."
            ),
        ),
    ] = None,
    *,
    config: ConfigOption = None,
    providers: ProvidersOption = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600, help="Seconds to wait for each answer.")
    ] = TRY_S,
    as_json: Annotated[
        bool,
        typer.Option("--json", metavar=FLAG, help="Print the result as JSON."),
    ] = False,
) -> None:
    """Say which credentials providers accept, or whose key this is; exit 1 if any is refused."""
    keys = [name for name in names or () if name == STDIN or name.startswith(PREFIX)]
    if not keys:
        run(
            "keys test providers",
            names=names or (),
            providers=providers,
            timeout_s=timeout,
            as_json=as_json,
        )
    if names != keys or len(keys) > 1:
        raise typer.BadParameter("needs to be one key alone, or providers", param_hint="NAMES")
    run("keys test", key=keys[0], config=config)


@app.command()
def reencrypt(config: ConfigOption = None) -> None:
    """Re-encrypt stored credentials with the newest of `stores.encryption_keys`."""
    run("keys reencrypt", config=config)
