"""From the bytes of a configuration file to its text.

Rule: what is not plain UTF-8 text of a sensible size is refused before any parser sees it.
"""

import re
import stat
from itertools import islice
from pathlib import Path

from gateway.config.problems import ConfigError, Place, Problem

FILE_BYTES_MAX = 1024 * 1024
PROBLEMS_MAX = 20  # a binary file would have thousands

UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufeff\uff00-\ufffd\U00010000-\U0010ffff]"
)
TAB_INDENT = re.compile(r"^ *(\t)[ \t]*[^ \t\r\n#]", re.MULTILINE)


def is_there(path: Path) -> bool:
    """Whether somebody has put something there, be it a link that leads nowhere.

    What cannot be looked at is there: reading it says why it cannot be.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def is_read_once(path: Path) -> bool:
    """Whether it is a pipe or the like, of which a second reading says something else."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def read_bytes(path: Path) -> bytes:
    """Return the content of a file; of one too large for a configuration, a byte too much.

    ConfigError when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError([Problem(str(path), 1, 1, "", _explain(path, error))]) from None
    return content


def _explain(path: Path, error: OSError) -> str:
    if not isinstance(error, FileNotFoundError):
        return (error.strerror or type(error).__name__).lower()
    if path.is_symlink():
        return f"a link to {path.readlink()}, and there is no such file"
    return "no such file; `gateway init` writes one"


def decode_text(content: bytes, file: str) -> str:
    """Return the text of a file, all its characters legal.

    ConfigError with all that are not, or when the content is too large.
    """
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(
            [Problem(file, 1, 1, "", "larger than 1 MiB, which is too large for a configuration")]
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        place = _place_of(content[: error.start].decode("utf-8"), error.start)
        message = "not UTF-8; save the file as UTF-8"
        raise ConfigError([Problem(file, place.line, place.column, "", message)]) from None
    text = text.removeprefix("\ufeff")
    problems = [
        _at(
            file,
            text,
            found.start(),
            f"a character that no text may contain (U+{ord(found[0]):04X})",
        )
        for found in islice(UNPRINTABLE.finditer(text), PROBLEMS_MAX)
    ]
    problems += [
        _at(file, text, found.start(1), "a tab indents this line; indent with spaces")
        for found in islice(TAB_INDENT.finditer(text), PROBLEMS_MAX)
    ]
    if problems:
        raise ConfigError(problems)
    return text


def _place_of(text: str, offset: int) -> Place:
    """Return the place of an offset in a text."""
    before = text[:offset]
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _at(file: str, text: str, offset: int, message: str) -> Problem:
    """Return a problem at an offset of the text."""
    place = _place_of(text, offset)
    return Problem(file, place.line, place.column, "", message)
