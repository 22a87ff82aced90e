"""What `gateway logs` is asked, read from its words and options.

The rule here: a mistake is said with the option or word that has it, before any file is opened.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import typer

from gateway.core.clock import system_clock
from gateway.core.durations import parse_span
from gateway.core.moments import parse_moment
from gateway.logs.choice import Choice
from gateway.logs.conditions import (
    Condition,
    ConditionError,
    looks_like_condition,
    parse_condition,
)
from gateway.logs.fields import FieldError, find_field
from gateway.logs.files import LogFileError, find_rotated, mode_of
from gateway.logs.summary import BY

FORMATS: Final = ("console", "json", "logfmt")
STDIN: Final = Path("-")
NO_FILE: Final = (
    "name a file, as in `gateway logs gateway.log`, or pipe the log in, as in "
    "`journalctl -u chat-gateway -o cat | gateway logs`; GATEWAY_LOG_FILE names the usual one"
)


class Asked(msgspec.Struct, frozen=True):
    """The words and options as they were given."""

    words: Sequence[str] = ()
    files: Sequence[Path] = ()
    rotated: bool = False
    follow: bool = False
    limit: int | None = None
    slow: str | None = None
    since: str | None = None
    until: str | None = None
    form: str | None = None
    by: Sequence[str] | None = None  # None: no summary


class Question(msgspec.Struct, frozen=True):
    """The same, understood."""

    paths: tuple[Path, ...]
    named: frozenset[Path]  # those of them that nobody else has found
    choice: Choice
    follow: bool
    limit: int | None
    form: str | None  # None: what fits where it goes
    by: tuple[str, ...] | None
    is_whole: bool  # when following: begin with all that there is


def read_question(asked: Asked) -> Question:
    """What is asked for; typer.BadParameter where it makes no sense."""
    by = _read_by(asked)
    if asked.form is not None and asked.form not in FORMATS:
        raise typer.BadParameter(f"needs to be {', '.join(FORMATS)}", param_hint="--format")
    named = _read_paths(asked)
    return Question(
        paths=_with_rotated(named) if asked.rotated else named,
        named=frozenset(named),
        choice=Choice(
            [_read_condition(word) for word in asked.words if looks_like_condition(word)],
            slow_s=_read_slow(asked.slow),
            since=_read_moment("--since", asked.since),
            until=_read_moment("--until", asked.until),
        ),
        follow=asked.follow,
        limit=asked.limit,
        form=asked.form,
        by=by,
        is_whole=asked.since is not None or asked.limit is not None or asked.rotated,
    )


def _read_by(asked: Asked) -> tuple[str, ...] | None:
    if asked.by is None:
        return None
    names = tuple(dict.fromkeys(name for part in asked.by for name in part.split(",") if name))
    for name in names:
        if name not in BY:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(BY)}", param_hint="--by")
    if asked.follow:
        raise typer.BadParameter("has no end, so there is nothing to sum up", param_hint="--follow")
    if asked.limit is not None:
        raise typer.BadParameter("a summary covers all lines", param_hint="--limit")
    if asked.form == "logfmt":
        raise typer.BadParameter("a summary is either a table or json", param_hint="--format")
    return names


def _read_paths(asked: Asked) -> tuple[Path, ...]:
    named = [_read_path(word) for word in asked.words if not looks_like_condition(word)]
    paths = named or list(asked.files)
    if not paths:
        if sys.stdin is None or sys.stdin.isatty():  # a service may have none
            raise typer.BadParameter(NO_FILE, param_hint="FILE")
        paths = [STDIN]
    return tuple(dict.fromkeys(paths))


def _with_rotated(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    try:
        found = [[path] if path == STDIN else find_rotated(path) for path in paths]
    except LogFileError as error:
        raise typer.BadParameter(str(error), param_hint="--rotated") from None
    return tuple(dict.fromkeys(path for family in found for path in family))


def _read_path(word: str) -> Path:
    """A file; a field's name alone is what a shell leaves of `status>=500` without quotes."""
    path = Path(word)
    if mode_of(path):
        return path
    try:
        find_field(word)
    except FieldError:
        return path
    raise typer.BadParameter(
        f"{word!r} is a field: add a comparison, in quotes if it has a < or >, as in '{word}>=500'",
        param_hint="FIELD=VALUE",
    )


def _read_condition(word: str) -> Condition:
    try:
        return parse_condition(word)
    except ConditionError as error:
        file = f" (a file of that name is ./{word})" if mode_of(Path(word)) else ""
        raise typer.BadParameter(f"{error}{file}", param_hint="FIELD=VALUE") from None


def _read_slow(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_span(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--slow") from None


def _read_moment(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_moment(text, system_clock())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
