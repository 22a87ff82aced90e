"""The log of a whole process, and what is printed besides it.

The rule here: standard output belongs to the log. If only programs read it, text for people goes to
standard error.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence

import structlog
import typer
from rich.console import Console

from gateway.config.load import Registry, known_secrets
from gateway.config.settings import Settings
from gateway.serving.open_files import find_shortage
from gateway.telemetry.line_file import LineFile
from gateway.telemetry.log_writer import LogWriter
from gateway.telemetry.logging import GatewayLog, hear_python

STANDARD_OUTPUT = 1
STANDARD_FILES = (0, STANDARD_OUTPUT, 2)
LAST_LINES_S = 2.0  # for the last lines at the end; a reader that has stopped must not hold us up

_log = structlog.get_logger()


def open_log(settings: Settings, registry: Registry) -> GatewayLog:
    """Write the log of this process, including that of libraries, to standard output.

    ContentFileError if content should be logged but its file cannot be written.
    """
    hold_standard_files()
    is_shared = settings.server.workers > 1
    writer = LogWriter(LineFile(STANDARD_OUTPUT, is_shared=is_shared))
    terminal = Console()  # respects NO_COLOR and terminals without colours
    log = GatewayLog(
        writer,
        known_secrets(settings, registry),
        is_terminal=os.isatty(STANDARD_OUTPUT),
        is_colored=terminal.color_system is not None and not terminal.no_color,
        is_shared=is_shared,
    )
    writer.when_back = log.say_dropped
    log.apply(settings.logging)
    hear_python()
    return log


class CrashError(SystemExit):
    """Ends a process after an unexpected error that has been logged."""


@contextlib.contextmanager
def closing_log(log: GatewayLog, expected: tuple[type[Exception], ...]) -> Iterator[None]:
    """Write the last lines at the end, and log an unexpected error that ends the process.

    FileLimitError if the reason is that no file is left.

    Python itself would print the error on standard error, with any credentials in it.
    """
    try:
        yield
    except expected:
        raise
    except Exception as error:  # noqa: BLE001 - the outermost edge of a process
        shortage = find_shortage(error)
        if shortage is not None:
            raise shortage from None
        _log.critical("gateway.crashed", exc_info=error)
        with contextlib.suppress(OSError, ValueError):
            typer.echo("The gateway crashed; the last line of its log says why.", err=True)
        raise CrashError(1) from None
    finally:
        log.close(LAST_LINES_S)


def hold_standard_files() -> None:
    """Open any of 0, 1 and 2 that is closed, or a socket would get its number, and the log."""
    for descriptor in STANDARD_FILES:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one


def print_banner(lines: Sequence[str], log: GatewayLog) -> None:
    """Print lines for people: on a terminal after pending log lines, else on standard error."""
    is_terminal = os.isatty(STANDARD_OUTPUT)
    if is_terminal:
        log.sink.flush(LAST_LINES_S)
    with contextlib.suppress(OSError, ValueError):  # nobody reads it
        typer.echo("\n".join(lines), err=not is_terminal)
