"""`gateway logs`: from files to lines or a table.

The rule here: lines go to standard output, what there is to say about them to standard error;
whoever stops reading, as `head` does, is not told off.
"""

import contextlib
import io
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console

from gateway.cli.logs_question import STDIN, Asked, Question, read_question
from gateway.cli.logs_table import draw_summary, render_summary
from gateway.logs.files import (
    DAMAGE,
    LogFileError,
    check_readable,
    describe,
    in_order,
    is_compressed,
    is_stream,
    mode_of,
    open_log,
    open_stdin,
)
from gateway.logs.following import Tail, follow, wait_a_little
from gateway.logs.lines import read_batches
from gateway.logs.reading import Reader
from gateway.logs.rendering import Render, make_console, render_json, render_logfmt
from gateway.logs.summary import Summary

LAST_LINES: Final = 10  # what --follow begins with
LAST_BYTES: Final = 1024 * 1024  # where it looks for them
INTERRUPTED: Final = 130  # what shells say of a program that Ctrl-C has ended

Batches = Iterator[list[bytes]]


class OutputError(Exception):
    """What was found cannot be written; the text says why."""


def show_logs(**asked: Any) -> int:  # noqa: ANN401 - the fields of `Asked`
    """Print lines or a summary; 1 when a file cannot be read."""
    question = read_question(Asked(**asked))
    _prepare_output()
    try:
        if question.by is None:
            show_lines(question)
        else:
            show_summary(question, question.by)
    except (LogFileError, OutputError) as error:
        say(str(error))
        return 1
    except BrokenPipeError:
        _stop_writing()
    except OSError as error:  # of a file that is followed
        say(f"The rest of the log cannot be read: {describe(error)}.")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def show_lines(question: Question, wait: Callable[[], None] = wait_a_little) -> None:
    """Print every line that is meant; where files are followed, until somebody ends it."""
    reader = Reader(question.choice)
    render = _find_render(question.form)
    if question.follow and not any(map(_is_endless, question.paths)):
        _follow(question, reader, render, wait)
        return
    kept: deque[str] = deque(maxlen=question.limit)
    for batch in _read(question.paths):
        texts = [render(line, fields) for line, fields in reader.choose(batch)]
        if question.limit is None:
            write(texts)
        else:
            kept.extend(texts)
    write(kept)
    say_foreign(reader)


def show_summary(question: Question, by: tuple[str, ...]) -> None:
    """Print what there is to sum up; Ctrl-C ends the reading, not the sum."""
    reader = Reader(question.choice)
    summary = Summary(by)
    with contextlib.suppress(KeyboardInterrupt):
        for batch in _read(question.paths):
            reader.add_up(batch, summary)
    if question.form == "json":
        write([render_summary(summary, reader)])
    else:
        write([draw_summary(summary, reader)])
    say_foreign(reader)


def write(texts: "deque[str] | list[str]") -> None:
    """Write lines, at once; OutputError when that failed, BrokenPipeError where nobody reads."""
    if not texts:
        return
    try:
        sys.stdout.write("\n".join(texts) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _stop_writing()
        raise OutputError(f"The output cannot be written: {describe(error)}.") from None


def say(sentence: str) -> None:
    """Tell whoever sits there."""
    typer.echo(sentence, err=True)


def say_foreign(reader: Reader) -> None:
    """Tell how many lines were passed over."""
    if not reader.foreign:
        return
    count = f"{reader.foreign} of {reader.lines} lines"
    say(f"{count} were skipped: they are not a gateway's lines in JSON or logfmt.")
    if reader.foreign == reader.lines:
        say("A gateway writes JSON with `logging.format: json`, or when not on a terminal.")


def _follow(question: Question, reader: Reader, render: Render, wait: Callable[[], None]) -> None:
    # Nobody writes to what was rotated away or compressed: it is read once, before the rest.
    followed = [
        path for path in question.paths if path in question.named and not is_compressed(path)
    ]
    finished = tuple(path for path in question.paths if path not in followed)
    last_bytes = None if question.is_whole else LAST_BYTES
    for path in followed:
        if stat.S_ISDIR(mode_of(path)):
            raise LogFileError(f"{path} is a directory; name the files in it.")
    tails = [Tail(path, last_bytes=last_bytes, say=say) for path in followed]
    # Until all that was there has been read, lines are kept; from then on they are shown.
    limit = question.limit if question.is_whole else LAST_LINES
    kept: deque[str] | None = None if limit is None else deque(maxlen=limit)
    for batch in chain(_read(finished), follow(tails, wait) if tails else [None]):
        if batch is not None:
            texts = [render(line, fields) for line, fields in reader.choose(batch)]
            if kept is None:
                write(texts)
            else:
                kept.extend(texts)
        elif kept is not None:
            write(kept)
            kept = None


def _read(paths: tuple[Path, ...]) -> Batches:
    """Every line of all files, the oldest first; standard input as it comes."""
    check_readable([path for path in paths if path != STDIN])
    for path in paths if STDIN in paths else in_order(paths):
        with open_stdin() if path == STDIN else open_log(path) as source:
            try:
                yield from read_batches(source)
            except DAMAGE:
                say(f"{path} is cut short or damaged; the lines before that were read.")
            except OSError as error:
                raise LogFileError(
                    f"The rest of {path} cannot be read: {describe(error)}."
                ) from None


def _is_endless(path: Path) -> bool:
    return path == STDIN or is_stream(path)


def _find_render(form: str | None) -> Render:
    terminal = Console()
    if form == "json" or (form is None and not terminal.is_terminal):
        return render_json
    if form == "logfmt":
        return render_logfmt
    # rich knows NO_COLOR, FORCE_COLOR and which terminals have none.
    return make_console(colours=terminal.color_system is not None and not terminal.no_color)


def _prepare_output() -> None:
    """JSON is UTF-8 whatever the locale is; on a terminal, what it cannot show is written out."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="backslashreplace")
        else:
            sys.stdout.reconfigure(encoding="utf-8")


def _stop_writing() -> None:
    """Nobody reads on: what is still to be flushed goes nowhere, and Python is content."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
