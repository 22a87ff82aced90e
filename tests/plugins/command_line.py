"""What the program's command line knows, for files that are not Python and call it.

The rule here: it is read from the program itself; `--help` is the same, and a process more.
"""

from typer.main import get_command

from gateway.cli.main import app


def options_of(*words: str) -> set[str]:
    """The options of a command, `serve` or `db upgrade`; KeyError where there is none."""
    command = get_command(app)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]  # only groups have some
    return {option for parameter in command.params for option in parameter.opts}
