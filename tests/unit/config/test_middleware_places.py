"""Tests of the places of an operator's middlewares."""

import pytest

from gateway.app import CHAIN, choose_chain
from gateway.config.document import parse_document
from gateway.config.middleware_places import CHAIN_NAMES, THE_FIRST_PLACE, misplaced_middlewares
from gateway.config.settings import Settings
from gateway.config.tracing import TracingSpec
from gateway.plugins.loading import name_of


def said(*entries: str, more: str = "") -> list[str]:
    """Return what is wrong with the places of these entries."""
    lines = "".join(f"  - {{use: 'a:mine{at}', {text}}}\n" for at, text in enumerate(entries))
    document = parse_document(f"middleware:\n{lines}{more}".encode(), "gateway.yaml")
    return [f"{one.path}: {one.message}" for one in misplaced_middlewares(document)]


def test_the_names_are_those_of_the_chain() -> None:
    """They are written twice: a configuration is checked without the server."""
    traced = Settings(tracing=TracingSpec(endpoint="http://127.0.0.1:4318"))

    assert [name_of(one) for one in CHAIN] == list(CHAIN_NAMES)
    for name in list(map(name_of, choose_chain(traced)))[1:]:
        assert said(f"after: {name}", more="tracing: {}\n") == []


@pytest.mark.parametrize("name", CHAIN_NAMES[2:])
def test_a_place_in_the_chain_is_right(name: str) -> None:
    """On either side."""
    assert said(f"after: {name}", f"before: {name}") == []


def test_a_slip_is_found_with_what_was_meant() -> None:
    """It would stop the start."""
    assert said("after: authentcate", "before: enforce_limit") == [
        "middleware[0].after: is not in the chain; did you mean authenticate?",
        "middleware[1].before: is not in the chain; did you mean enforce_limits?",
    ]


def test_a_name_like_none_is_answered_with_all() -> None:
    """Who guesses once should not have to guess again."""
    (sentence,) = said("after: logging")

    assert sentence.startswith("middleware[0].after: is not in the chain, which is: guard_stream, ")
    assert sentence.endswith(", enforce_limits")


@pytest.mark.parametrize(
    ("side", "name"),
    [("before", "guard_stream"), ("after", "guard_stream"), ("before", "assign_request_id")],
)
def test_nothing_comes_before_there_is_an_exchange(side: str, name: str) -> None:
    """Without one there is no request id, no log line, and nothing that a plugin may import."""
    assert said(f"{side}: {name}") == [f"middleware[0].{side}: {THE_FIRST_PLACE}"]
    assert said("after: assign_request_id") == []


def test_one_s_own_may_be_named_further_down() -> None:
    """By whatever name: a decorator may have changed it."""
    assert said("after: authenticate", "after: mine0", "after: other_name") == []


def test_tracing_has_a_place_where_there_is_tracing() -> None:
    """Without, it is not in the chain."""
    (sentence,) = said("after: logging", more="tracing: {}\n")

    assert said("after: begin_trace", more="tracing: {}\n") == []
    assert len(said("after: begin_trace")) == 1
    assert ", assign_request_id, begin_trace, write_access_log, " in sentence


@pytest.mark.parametrize("text", ["middleware: 5\n", "middleware: [5]\n", "", "- a\n", "x"])
def test_what_is_no_list_of_middlewares_is_for_the_models_to_refuse(text: str) -> None:
    """One mistake is said once."""
    assert misplaced_middlewares(parse_document(text.encode(), "gateway.yaml")) == []
    assert said("after: 'a b'", "after: 5") == []
