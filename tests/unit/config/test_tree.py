"""Tests of reading YAML's plain part."""

import traceback

import pytest

from gateway.config.problems import ConfigError
from gateway.config.tree import Mapping, Scalar, Sequence, compose_tree


def test_every_node_knows_its_place() -> None:
    """A message without a line sends an operator searching."""
    tree = compose_tree("a:\n  - ä: b\n    c: d\n", "a.yaml").root

    assert isinstance(tree, Mapping)
    items = tree.pairs[0][1]
    assert isinstance(items, Sequence)
    block = items.items[0]
    assert isinstance(block, Mapping)
    value = block.pairs[0][1]
    assert isinstance(value, Scalar)
    assert (value.place.line, value.place.column) == (2, 8)
    assert (block.pairs[1][0].place.line, block.pairs[1][0].place.column) == (3, 5)


def test_an_alias_stands_where_it_is_written() -> None:
    """A mistake in what it stands for is made where it is used."""
    tree = compose_tree("a: &x 1\nb: *x\n", "a.yaml").root

    assert isinstance(tree, Mapping)
    value = tree.pairs[1][1]
    assert isinstance(value, Scalar)
    assert value.text == "1"
    assert value.place.line == 2


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 10_000, "{a: " * 50_000, "? " * 10_000])
def test_a_deep_file_is_refused_and_does_not_end_the_process(text: str) -> None:
    """A parser that recurses would overflow its stack on a few kilobytes."""
    with pytest.raises(ConfigError, match=r"nested more than 32 deep|needs to be a word|not YAML"):
        compose_tree(text, "a.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [*a]", r"\*a refers to nothing"),
        ("a: b\n---\na: c", "second document"),
        ("? : b", "not YAML here"),
        ("a: @b", "needs quotes"),
        ("a: `b`", "needs quotes"),
        ("a: %b", "needs quotes"),
        ("a: [b", "closing|commas"),
        ("a: {b", "closing|commas"),
        ("a:\n  - b\n c", "not YAML here"),
        ("%YAML 3.0\n---\na: b", "not YAML here"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text: str, reason: str) -> None:
    """Tags run code in other readers; what nobody needs in a configuration is not read."""
    with pytest.raises(ConfigError, match=reason):
        compose_tree(text, "a.yaml")


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("a: b: c", (1, 5), "a second `: ` in a line"),
        ("a:\n  b: c\n    d: e", (3, 6), "indent this one less"),
        ("a\n  b: c", (2, 4), "give the key above its `: `"),
        ("a: 'b' c", (1, 8), "put all of it in quotes"),
        ("a:\n  - 'b' c", (2, 9), "put all of it in quotes"),
        ("a:\n  b: c\n - d", (3, 2), "indentation does not match"),
        ("a: - b", (1, 4), "needs a line of its own"),
        ('a: "C:\\secrets"', (1, 8), "use single quotes"),
        ('a: "C:\\Users"', (1, 9), "use single quotes"),
        ("a: *", (1, 5), "needs quotes"),
        ("a: > b", (1, 6), "needs quotes"),
        ("a: , b", (1, 4), "needs quotes"),
        ("a: [b, c\n", (1, 4), "a closing ]"),
        ("  a: b\nc: d", (2, 1), "not of the block that the file began with"),
    ],
)
def test_what_helps_is_said_where_it_helps(text: str, place: tuple[int, int], reason: str) -> None:
    """The YAML reader says the same of many slips, and in words of its own."""
    with pytest.raises(ConfigError) as caught:
        compose_tree(text, "a.yaml")

    problem = caught.value.problems[0]
    assert (problem.line, problem.column) == place
    assert reason in problem.message


def test_a_slip_at_the_end_of_a_long_line_is_found_at_once() -> None:
    """A registry that a program wrote is one line; 130 KB of it took 14 s."""
    with pytest.raises(ConfigError, match="not of the block that the file began with"):
        compose_tree(f'{{a: "{"x" * 1_000_000}"}} b', "a.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a]: b", "needs to be a word"),
        ("{a: 1}: b", "needs to be a word"),
        ("&a b: 1\n*a : 2", "needs to be a word"),
        ("'': b", "needs to be a word"),
        ("<<: {a: 1}", "merge keys"),
        ("!!str a: b", "tags"),
        ("a: !!binary aGk=", "tag"),
        ("a: !local b", "tag"),
        ("--- !!map\na: b", "tag"),
    ],
)
def test_what_can_be_left_unread_does_not_hide_the_rest(text: str, reason: str) -> None:
    """A file is mended in one go only if all that is wrong in it is said at once."""
    tree = compose_tree(text, "a.yaml")

    assert [reason in problem.message for problem in tree.problems] == [True]


def test_what_a_merge_key_would_bring_along_is_not_missing_as_well() -> None:
    """One mistake is one line; what is written in the block itself goes before."""
    tree = compose_tree("a: &a {b: 1, c: 2}\nd:\n  <<: *a\n  c: 3\n", "a.yaml")

    assert isinstance(tree.root, Mapping)
    block = tree.root.pairs[1][1]
    assert isinstance(block, Mapping)
    assert [key.text for key, _ in block.pairs] == ["c", "b"]


def test_an_empty_file_is_an_empty_block() -> None:
    """A template whose lines are all comments is a valid file."""
    tree = compose_tree("# nothing\n", "a.yaml").root

    assert isinstance(tree, Mapping)
    assert tree.pairs == ()


@pytest.mark.parametrize(
    "text", ["a: 'sk-canary", "a: sk-canary: b", "sk-canary: [", "a: &x sk-canary\n\tb"]
)
def test_not_even_the_traceback_of_a_syntax_error_shows_the_line(text: str) -> None:
    """The parser's own errors quote the line they stopped in, and it may hold a credential."""
    with pytest.raises(ConfigError) as caught:
        compose_tree(text, "a.yaml")

    assert "canary" not in "".join(traceback.format_exception(caught.value))
