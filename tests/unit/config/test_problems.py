"""Tests of how a mistake is printed."""

from gateway.config.problems import ConfigError, Problem, render_path


def test_a_path_reads_as_an_operator_would_say_it() -> None:
    """It is searched for in the file."""
    path = ("providers", "groq", "models", 0, "id")

    assert render_path(path) == "providers.groq.models[0].id"


def test_a_line_break_in_a_key_cannot_forge_a_line_of_output() -> None:
    """Editors and CI systems jump to whatever looks like file:line:column."""
    path = ("providers", "a\nb.yaml:1:1: fine")

    assert "\n" not in render_path(path)


def test_a_problem_without_a_path_shows_none() -> None:
    """A syntax error belongs to a place, not to a key."""
    assert str(Problem("a.yaml", 1, 2, "", "wrong")) == "a.yaml:1:2: wrong"
    assert str(Problem("a.yaml", 1, 2, "b", "wrong")) == "a.yaml:1:2: b: wrong"


def test_problems_come_in_the_order_of_the_file() -> None:
    """A file is mended from top to bottom."""
    late, early = Problem("a", 2, 1, "", "x"), Problem("a", 1, 9, "", "y")

    error = ConfigError([late, early])

    assert error.problems == (early, late)
    assert str(error) == "a:1:9: y\na:2:1: x"
