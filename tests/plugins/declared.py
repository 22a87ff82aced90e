"""No test lets the gateway write a line that is not declared.

The rule here: a line is held against `gateway.core.events` when it is written where nothing else
is configured, and when its test ends where a test reads it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from gateway.core.events import find_undeclared
from gateway.core.events.exchange import LINE_FIELDS


def refuse_undeclared(lines: Iterable[Mapping[str, Any]]) -> None:
    """Assert that every line is declared: its event, its level and its fields."""
    for line in lines:
        fields = set(line) - set(LINE_FIELDS)
        assert find_undeclared(line["event"], line["level"], fields) is None, line


def refuse_when_logged(_: Any, method: str, event_dict: dict[str, Any]) -> dict[str, Any]:
    """Refuse a line as it is logged; a processor of structlog."""
    fields = {"exception" if name == "exc_info" else name for name in event_dict}
    level = "error" if method == "exception" else method
    wrong = find_undeclared(event_dict["event"], level, fields - {"event"})
    assert wrong is None, f"nobody has declared {wrong}"
    return event_dict


def be_strict() -> None:
    """Have every line refused that is not declared, and write the others to nobody."""
    structlog.reset_defaults()
    structlog.configure(
        processors=[refuse_when_logged, structlog.processors.JSONRenderer(default=repr)],
        logger_factory=structlog.ReturnLoggerFactory(),
    )


def pytest_configure() -> None:
    """Hold the lines of tests that configure nothing to their declarations."""
    be_strict()
