"""`gateway credentials …`: the names and options of its commands.

The rule here: this file imports typer alone, as `main` does. No credential is an argument: every
user of the machine sees those.
"""

from typing import Annotated

import typer

from gateway.cli.commands import ConfigOption, FormatOption, ProvidersOption, run

app = typer.Typer(
    help="Set, list and delete the provider credentials of principals and tenants.",
    no_args_is_help=True,
)

Provider = Annotated[str, typer.Argument(help="Name of the provider in providers.yaml.")]
Tenant = Annotated[str | None, typer.Option(help="The tenant it belongs to.")]
Principal = Annotated[
    str | None, typer.Option(help="The principal it belongs to, as named in the log.")
]
Kind = Annotated[
    str | None,
    typer.Option(
        help="Kind of principal: `key` for the holder of a gateway key, `user` for somebody with a "
        "token or a session. Required if `auth` has both."
    ),
]


@app.command("set")
def set_credential(
    provider: Provider,
    *,
    tenant: Tenant = None,
    principal: Principal = None,
    kind: Kind = None,
    providers: ProvidersOption = None,
    config: ConfigOption = None,
) -> None:
    """Store a credential, typed in or read from the first line of standard input."""
    run(
        "credentials set",
        provider=provider,
        whose=(tenant, principal, kind),
        registry=providers,
        config=config,
    )


@app.command("list")
def list_credentials(
    *,
    tenant: Tenant = None,
    principal: Principal = None,
    kind: Kind = None,
    output: FormatOption = "table",
    config: ConfigOption = None,
) -> None:
    """List the stored credentials, by default everybody's, without their values."""
    run("credentials list", whose=(tenant, principal, kind), output=output, config=config)


@app.command("delete")
def delete_credential(
    provider: Provider,
    *,
    tenant: Tenant = None,
    principal: Principal = None,
    kind: Kind = None,
    providers: ProvidersOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete a credential; running gateways notice within ten seconds."""
    run(
        "credentials delete",
        provider=provider,
        whose=(tenant, principal, kind),
        registry=providers,
        config=config,
    )
