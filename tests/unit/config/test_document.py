"""Tests of turning YAML into plain values with places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import parse_document
from gateway.config.problems import ConfigError


def problems_of(text: str) -> list[str]:
    """Return what can be read in two ways."""
    return [str(problem) for problem in parse_document(text.encode(), "a.yaml").problems]


def value_of(text: str) -> object:
    """Return what the key `a` of a text holds."""
    document = parse_document(f"a: {text}\n".encode(), "a.yaml")
    assert isinstance(document.value, dict)
    return document.value["a"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("nUll", "nUll"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("0", 0),
        ("-12", -12),
        ("0.59", 0.59),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("'1'", "1"),
        ('"true"', "true"),
        ('""', ""),
        ("|\n  1\n", "1\n"),
        # Octal, hexadecimal, sexagesimal, dates: numbers to YAML 1.1, text to most people.
        ("0644", "0644"),
        ("0x1F", "0x1F"),
        ("1:30", "1:30"),
        ("2024-05-13", "2024-05-13"),
        ("1_000", "1_000"),
        # No number that JSON could carry.
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_scalar_means_what_it_looks_like(text: str, value: object) -> None:
    """YAML 1.1 reads 0644 as 420 and 1:30 as 90; both surprise."""
    found = value_of(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off"])
def test_a_word_that_readers_of_yaml_disagree_about_is_refused(word: str) -> None:
    """The country code NO becomes false in one program and text in another."""
    (problem,) = problems_of(f"a: {word}\n")

    assert problem.endswith(f'write true, false or "{word}"')
    assert value_of(f"'{word}'") == word


def test_a_key_is_always_text() -> None:
    """A provider may be called 4 or null; a key is a name, not a value."""
    document = parse_document(b"4: a\nnull: b\non: c\n", "a.yaml")

    assert document.value == {"4": "a", "null": "b", "on": "c"}


def test_escaped_control_characters_are_refused() -> None:
    """YAML can spell in quotes what no header, path or log line may hold."""
    for escaped in (r"\0", r"\ud800"):
        assert problems_of(f'a: "{escaped}"\n') == [
            "a.yaml:1:4: a: contains a control character or half a character"
        ]


def test_all_mistakes_of_the_text_come_together() -> None:
    """One round of mending, not one for each line."""
    document = parse_document(b"a: yes\na: 1\nb: {c: off, c: 1}\n", "a.yaml")

    assert sorted((found.line, found.column) for found in document.problems) == [
        (1, 4),
        (2, 1),
        (3, 8),
        (3, 13),
    ]


def test_a_problem_about_what_is_missing_points_at_the_block_that_misses_it() -> None:
    """There is no line for what is not there."""
    document = parse_document(b"a:\n  b: {c: 1}\n", "a.yaml")

    problem = document.problem(("a", "b", "d", "e"), "is missing")

    assert str(problem) == "a.yaml:2:3: a.b.d.e: is missing"


@given(st.binary(max_size=200) | st.text(alphabet="a:-[]{}&*!|>'\"#\n \t,?%@~<", max_size=60))
def test_no_input_ends_in_anything_but_values_or_problems(content: bytes | str) -> None:
    """A reload in a running gateway must survive whatever is in the file."""
    raw = content if isinstance(content, bytes) else content.encode()
    try:
        document = parse_document(raw, "a.yaml")
    except ConfigError as error:
        places = [(found.line, found.column) for found in error.problems]
    else:
        places = [(place.line, place.column) for place in document.values.values()]

    assert places
    assert min(min(place) for place in places) >= 1


def test_what_is_left_of_a_document_keeps_its_places() -> None:
    """A mistake in it is shown where it is, by the path that it has in the file."""
    document = parse_document(b"a:\n- 1\n- 2\n- {b: 3}\nc: 4\n", "a.yaml")

    rest = document.without({("a", 0), ("c",)}).without({("a", 0)})

    assert rest.value == {"a": [{"b": 3}]}
    assert str(rest.problem(("a", 0, "b"), "is wrong")) == "a.yaml:4:7: a[2].b: is wrong"
