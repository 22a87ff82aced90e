"""What is declared of a line, and what is not."""

import pytest

from gateway.core.events import EVENTS, find_undeclared
from gateway.core.events.exchange import EXCHANGE_FIELDS, SETTLED


def test_a_line_as_declared_is_in_order() -> None:
    """With all of its fields, or some."""
    assert find_undeclared("gateway.started", "info", ["url", "admin_url", "worker"]) is None
    assert find_undeclared("gateway.stopped", "info", []) is None


@pytest.mark.parametrize(
    ("event", "level", "fields", "said"),
    [
        ("gateway.vanished", "info", [], "the event gateway.vanished"),
        ("gateway.started", "error", [], "the level error of gateway.started"),
        ("gateway.started", "info", ["url", "uri", "port"], "port, uri of gateway.started"),
    ],
)
def test_what_is_not_declared_is_named(
    event: str, level: str, fields: list[str], said: str
) -> None:
    """Whoever has added it reads what to declare."""
    assert find_undeclared(event, level, fields) == said


def test_events_stand_in_the_order_of_their_names() -> None:
    """So that the table is searched with the eye."""
    assert list(EVENTS) == sorted(EVENTS)
    assert EVENTS[SETTLED].fields == tuple(EXCHANGE_FIELDS)
