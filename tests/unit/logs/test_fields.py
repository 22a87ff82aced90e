"""The fields that may be asked for."""

import pytest

from gateway.logs.fields import (
    EXCHANGE,
    FLAGS,
    LINE,
    LISTS,
    NUMBERS,
    OTHER,
    FieldError,
    find_field,
    is_time,
)
from tests.docs.pages import table_rows
from tests.plugins.log_lines import settled


def test_every_field_of_an_exchange_can_be_asked_for() -> None:
    """A field that was renamed in the writer would never be found again."""
    assert (*LINE, *EXCHANGE[:-1]) == tuple(settled())
    assert EXCHANGE[-1] == "labels"  # only where there are some


def test_the_page_of_logs_has_the_same_fields() -> None:
    """Who reads there that a field exists will ask for it."""
    assert set(table_rows("docs/operate/logs.md", "field")) >= {*LINE, *EXCHANGE}


def test_numbers_are_those_that_are_written_as_numbers() -> None:
    """`status>=500` has to compare numbers, `model>5` has to be refused."""
    written = {
        name
        for name, value in settled(tokens_cached=0, tokens_reasoning=0).items()
        if type(value) in {int, float}
    } | {"upstream_s"}

    assert {name for name in EXCHANGE if name in NUMBERS or is_time(name)} == written


# Of other lines than those of exchanges: what is compared as text.
TEXTS = {
    *("admin", "admin_url", "answer", "cause", "error", "exception", "id", "issuer", "journal"),
    *("kept", "kept_in", "key", "logger", "message", "middleware", "of", "operation", "problem"),
    *("prompt", "reason", "redis", "sentence", "stack", "store", "table", "task", "text"),
    *("thread", "url"),
}


def test_each_field_of_other_lines_is_of_one_kind() -> None:
    """Whoever adds a number and does not say so makes `limit>5` a mistake of whoever asks."""
    kinds = [TEXTS, NUMBERS, FLAGS, LISTS, {name for name in OTHER if is_time(name)}]

    assert {name: sum(name in kind for kind in kinds) for name in OTHER} == dict.fromkeys(OTHER, 1)


@pytest.mark.parametrize("name", ["provider", "event", "in_flight", "labels.team"])
def test_a_field_is_found(name: str) -> None:
    """Of an exchange, of any line, of another line, of what middlewares have added."""
    assert find_field(name) == name


def test_a_wrong_name_is_answered_with_the_right_ones() -> None:
    """No line and no such field look the same to whoever asks."""
    with pytest.raises(FieldError) as caught:
        find_field("providr")

    assert "Did you mean provider?" in str(caught.value)
    assert all(name in str(caught.value) for name in (*LINE, *EXCHANGE, *OTHER))


def test_an_empty_label_is_no_field() -> None:
    """`labels.=x` is a slip."""
    with pytest.raises(FieldError):
        find_field("labels.")
