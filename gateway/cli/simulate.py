"""`gateway simulate`: the simulator on a port of its own.

The rule here: what it prints is enough to point a client at it.
"""

import asyncio
import contextlib
import errno
import socket
from shlex import quote

import typer

from gateway.server.sockets import REASONS, local_url
from gateway.simulator import Simulator
from gateway.simulator import serve as run_simulator

QUESTION = '{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}'


def simulate(host: str, port: int) -> int:
    """Run until Ctrl-C; 1 when the port cannot be listened on."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run_simulator(host, port, when_ready=_print_address))
    except (socket.gaierror, UnicodeError):
        typer.echo(f"The simulator did not start. {host}:{port}: no such host", err=True)
        return 1
    except OSError as error:
        # Newer asyncio leaves the number out where no address of the host is this machine's.
        reason = REASONS.get(error.errno or errno.EADDRNOTAVAIL, "it cannot be listened on")
        typer.echo(f"The simulator did not start. {host}:{port}: {reason}", err=True)
        return 1
    return 0


def _print_address(simulator: Simulator) -> None:
    url = local_url(simulator.base_url)
    # zsh would look for files that fit the brackets of an IPv6 address.
    address = quote(f"{url}/chat/completions")
    # At once: who waits for the first line may close the pipe after it.
    typer.echo(f"base URL   {url}\ntry it with\ncurl -N {address} -d '{QUESTION}'")
