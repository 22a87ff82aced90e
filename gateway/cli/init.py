"""`gateway init`: both configuration files, commented, and their example of a middleware.

Rule: what is there already is never touched.
"""

import shlex
from pathlib import Path

import typer

from gateway.config.load import REGISTRY_FILE, SETTINGS_FILE, shipped_file

OWNER_ONLY = 0o600  # so that a credential may be written into it, if it must
EXAMPLE = Path("plugins/hello.py")  # what the lines in gateway.yaml name; a wheel has no `plugins`


def init(directory: Path) -> int:
    """Write the files to begin with into a directory; 0 when all are there afterwards."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in (REGISTRY_FILE, SETTINGS_FILE):
            _write_new(directory / name, shipped_file(str(name)).read_bytes(), OWNER_ONLY)
        (directory / EXAMPLE).parent.mkdir(exist_ok=True)
        _write_new(directory / EXAMPLE, shipped_file(str(EXAMPLE)).read_bytes())
    except OSError as error:
        typer.echo(f"{error.filename}: cannot be written: {error.strerror}", err=True)
        return 1
    is_here = directory.resolve() == Path.cwd()
    change = "" if is_here else f"`cd {shlex.quote(str(directory))}`, then "
    typer.echo(f"Next: {change}`gateway check`, then `gateway serve`.")
    return 0


def _write_new(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file that is not there yet, and say which of the two it was."""
    try:
        # Exclusive: between a look and a write somebody else may have made the file.
        with path.open("xb") as file:
            if mode is not None:
                path.chmod(mode)
            file.write(content)
    except FileExistsError:
        typer.echo(f"{path}: exists already, left as it is")
    else:
        typer.echo(f"{path}: written")
