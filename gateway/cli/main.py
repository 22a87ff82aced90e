"""The `gateway` command: its subcommands and their options.

The rule here: beside the standard library this file imports typer alone. What a command needs is
imported when that command runs, through the one table in `running`, so that `gateway --version`
does not wait for a server.
"""

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli.commands import FLAG, ConfigOption, ProvidersOption, run
from gateway.cli.credentials_command import app as credentials_app
from gateway.cli.db_command import app as db_app
from gateway.cli.keys_command import app as keys_app
from gateway.cli.logs_command import logs
from gateway.cli.standard_streams import prepare_streams, refuse_full_disk

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_ADMIN_URL = "http://127.0.0.1:8081"
PORT_MAX = 65_535
WORKERS_MAX = 256
FIRST_PROCESS = 1
STANDARD_INPUT = 0


class LogFormat(StrEnum):
    """What `--log-format` takes."""

    JSON = "json"
    CONSOLE = "console"
    LOGFMT = "logfmt"


app = typer.Typer(
    name="gateway",
    help="An HTTP gateway between chat applications and language-model providers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it prints the values of variables: credentials among them
)
app.add_typer(keys_app, name="keys")
app.add_typer(credentials_app, name="credentials")
app.add_typer(db_app, name="db")

PortOption = Annotated[
    int | None, typer.Option(min=0, max=PORT_MAX, help="Port; 0 picks a free one.")
]


def print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    """Print the version and end, where that was asked for."""
    if wanted:
        typer.echo(f"chat-gateway {__version__}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version",
        callback=print_version,
        is_eager=True,
        metavar=FLAG,
        help="Print the version and exit.",
    ),
]


def main() -> None:
    """Run the command line."""
    hear_sigterm_as_first_process()
    prepare_streams()
    with refuse_full_disk():
        app(prog_name="gateway")  # as `python -m gateway` too, so that shells complete it


def hear_sigterm_as_first_process() -> None:
    """End at SIGTERM in a container too.

    To its first process the kernel delivers only what that has a handler for, so a command that
    has none, or a gateway that has not got so far, would run on until it is killed.
    """
    if os.getpid() == FIRST_PROCESS:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def keep_reloads() -> None:
    """Have a SIGHUP wait for who hears it: until then it would end a gateway that starts.

    Before anything else is imported, which takes a second on a machine with much to do. Where there
    is a terminal it may have gone, and that does end it.
    """
    if not os.isatty(STANDARD_INPUT):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])


@app.callback()
def choose_command(
    *,
    _version: VersionOption = False,
) -> None:
    """An HTTP gateway between chat applications and language-model providers."""


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to write them.")] = Path(),
) -> None:
    """Write a commented providers.yaml and gateway.yaml, and an example middleware."""
    run("init", directory=directory)


@app.command()
def serve(  # noqa: PLR0913 - one for each option
    *,
    config: ConfigOption = None,
    providers: ProvidersOption = None,
    host: Annotated[str | None, typer.Option(help="Address of the public listener.")] = None,
    port: PortOption = None,
    admin_host: Annotated[str | None, typer.Option(help="Address of the admin listener.")] = None,
    admin_port: PortOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=WORKERS_MAX, help="Number of processes. Default: 1.")
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="Format of log lines. Default: `logging.format`, or `console` on a terminal and "
            "`json` elsewhere."
        ),
    ] = None,
) -> None:
    """Start the gateway in the foreground."""
    keep_reloads()
    run(
        "serve",
        config=config,
        providers=providers,
        overrides={
            "server": {"host": host, "port": port, "workers": workers},
            "admin": {"host": admin_host, "port": admin_port},
            "logging": {"format": None if log_format is None else log_format.value},
        },
    )


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Default: gateway.yaml and providers.yaml in this directory."),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="Print the JSON Schema of `providers` or `gateway` instead."),
    ] = None,
) -> None:
    """Report every mistake in the configuration files; exit 1 if there is one."""
    if schema is None:
        run("check", files=files or [])
    if schema not in {"providers", "gateway"}:
        raise typer.BadParameter("needs to be `providers` or `gateway`", param_hint="--schema")
    run("schema", which=schema)


@app.command()
def providers(providers: ProvidersOption = None) -> None:
    """List the providers, and which of them have a credential."""
    run("providers", path=providers)


@app.command()
def chat(
    target: Annotated[str, typer.Argument(metavar="PROVIDER[/MODEL]")],
    text: Annotated[str, typer.Argument(help="The message to send.")],
    url: Annotated[str, typer.Option(help="Address of the gateway.")] = DEFAULT_URL,
    key: Annotated[
        str | None, typer.Option(envvar="GATEWAY_KEY", help="Gateway key, if one is needed.")
    ] = None,
) -> None:
    """Ask a running gateway, and stream the answer to the terminal."""
    run("chat", target=target, text=text, url=url, key=key)


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=PORT_MAX, help="0 picks a free one.")] = 8089,
) -> None:
    """Run the simulator: a scriptable provider for your own tests."""
    run("simulate", host=host, port=port)


@app.command()
def usage(
    *,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Group by principal, tenant, provider, model, credential, outcome or day; may be "
            "repeated. Default: one total."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Start of the period: 7d, 12h or 2026-11-01. Default: the beginning."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="End of the period. Default: now.")] = None,
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    config: ConfigOption = None,
) -> None:
    """Show who used what, and what it cost."""
    run("usage", by=by or [], since=since, until=until, form=form, config=config)


app.command()(logs)  # here, because `--help` lists them in this order


@app.command()
def healthcheck(
    *,
    url: Annotated[
        str, typer.Option(envvar="GATEWAY_ADMIN_URL", help="Address of its admin listener.")
    ] = DEFAULT_ADMIN_URL,
    live: Annotated[
        bool,
        typer.Option(
            "--live", metavar=FLAG, help="Ask whether it is alive, not whether it is ready."
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait.")] = 3.0,
) -> None:
    """Ask a gateway whether it is ready; exit 1 if it is not."""
    run("healthcheck", url=url, live=live, timeout_s=timeout)
