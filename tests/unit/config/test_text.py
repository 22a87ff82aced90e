"""Tests of reading a file's text."""

import os
from pathlib import Path

import pytest

from gateway.config.problems import ConfigError
from gateway.config.text import (
    FILE_BYTES_MAX,
    decode_text,
    is_read_once,
    is_there,
    read_bytes,
)


def refused(content: bytes) -> list[str]:
    """Return the problems of a text."""
    with pytest.raises(ConfigError) as caught:
        decode_text(content, "a.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_byte_order_mark_is_not_part_of_the_text() -> None:
    """Editors on Windows write one."""
    assert decode_text(b"\xef\xbb\xbfa: b", "a.yaml") == "a: b"


def test_what_is_not_utf8_is_refused_at_its_place() -> None:
    """A Latin-1 umlaut in a label would come out as another letter."""
    assert refused(b"a: b\nc: \xfc") == ["a.yaml:2:4: not UTF-8; save the file as UTF-8"]


def test_a_null_character_is_refused_at_its_place() -> None:
    """A file half written before a crash is full of them."""
    assert refused(b"a: b\nc: \x00") == [
        "a.yaml:2:4: a character that no text may contain (U+0000)"
    ]


def test_a_binary_file_does_not_fill_the_screen() -> None:
    """`gateway check *` will meet one."""
    assert len(refused(bytes(10_000))) == 20


def test_every_line_that_a_tab_indents_is_named() -> None:
    """YAML forbids them, and its own message does not say so."""
    said = refused(b"a:\n\tb: 1\n  \tc: 2\nd: '\t'\n")

    assert [line.split(" ")[0] for line in said] == ["a.yaml:2:1:", "a.yaml:3:3:"]


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """Somebody passed a log or a disk image; reading it would take all memory."""
    file = tmp_path / "large.yaml"
    file.write_bytes(b"#" * (FILE_BYTES_MAX + 2))

    content = read_bytes(file)

    assert len(content) == FILE_BYTES_MAX + 1
    assert refused(content) == [
        "a.yaml:1:1: larger than 1 MiB, which is too large for a configuration"
    ]


def test_a_missing_file_is_named_with_the_way_to_get_one(tmp_path: Path) -> None:
    """The first start in an empty directory ends here."""
    with pytest.raises(ConfigError, match=r"none\.yaml:1:1: no such file; `gateway init`"):
        read_bytes(tmp_path / "none.yaml")


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    """A container mounts a directory where the file does not exist."""
    with pytest.raises(ConfigError, match="is a directory"):
        read_bytes(tmp_path)


def test_a_link_that_leads_nowhere_is_there_and_is_refused(tmp_path: Path) -> None:
    """A volume that is not mounted yet is no wish for the registry that ships."""
    link = tmp_path / "providers.yaml"
    assert not is_there(link)

    link.symlink_to(tmp_path / "gone.yaml")

    assert is_there(link)
    with pytest.raises(ConfigError, match=f"a link to {tmp_path}/gone.yaml, and there is no such"):
        read_bytes(link)


def test_what_cannot_be_looked_at_is_there(tmp_path: Path) -> None:
    """In a directory of somebody else's nobody knows, and reading says why."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    assert is_there(loop / "gateway.yaml")
    assert not is_there(tmp_path / "none" / "gateway.yaml")
    with pytest.raises(ConfigError, match="too many levels of symbolic links"):
        read_bytes(loop / "gateway.yaml")


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """A second reading waits for another writer, or finds nothing."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    assert [is_read_once(path) for path in (pipe, Path(__file__), tmp_path / "none")] == [
        True,
        False,
        False,
    ]
