"""The files of the project, for the tests that read them all.

The rule here: what git would not take (caches, .venv, node_modules) is not the project.
"""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Where the sources were unpacked without git.
IGNORED = {"__pycache__", "node_modules", "build", "dist"}


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is tracked, or that git would offer to track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return tuple(sorted(path for path in ROOT.rglob("*") if _is_ours(path)))
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(sorted(path for path in paths if path.is_file()))


@cache
def python_files(top: str = "") -> tuple[Path, ...]:
    """Every Python file below one directory of the project."""
    return tuple(
        path for path in project_files() if path.suffix == ".py" and path.is_relative_to(ROOT / top)
    )


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_bytes(), filename=str(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of that tree; walking through all trees takes two seconds each time."""
    return tuple(ast.walk(tree_of(path)))


def name_of(path: Path) -> str:
    """The path as a reader of the repository knows it."""
    return path.relative_to(ROOT).as_posix()


def _is_ours(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return path.is_file() and not any(part in IGNORED or part.startswith(".") for part in parts)
