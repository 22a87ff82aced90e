"""What is logged is what is declared, and the other way round.

The rule here: every call of a logger in the package is looked at in the syntax tree, so that a
line which no test provokes is held to its declaration too.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.core.events import EVENTS, find_undeclared
from gateway.core.events.exchange import CONTENT, EXCHANGE_FIELDS, SETTLED
from gateway.core.events.fields import FIELDS
from tests.house.tree import name_of, nodes_of, python_files

METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
DECLARED_IN = "gateway/core/events/"
# Written without a call of a logger: by hand, for speed, or into a stream of its own.
BY_HAND = {SETTLED, CONTENT}
# Calls whose event is a variable: a file, and the events that it may be.
VARIABLE = {
    "gateway/console/keys.py": ("key.created", "key.rotated", "key.disabled"),
    "gateway/credentials/pools.py": (
        "credential.rested",
        "credential.spent",
        "credential.set_aside",
    ),
    "gateway/ledger/condition.py": (
        "ledger.backlog_drained",
        "ledger.backlog_full",
        "ledger.journal_failed",
        "ledger.journal_recovered",
        "ledger.store_down",
        "ledger.store_up",
        "ledger.sync_failed",
        "ledger.sync_recovered",
    ),
    "gateway/telemetry/logging.py": (SETTLED,),
}


def is_logger(called: ast.expr) -> bool:
    """Say whether this is `_log.info`, `structlog.get_logger().info` or an alias of one."""
    match called:
        case ast.Name(id="log"):
            return True
        case ast.Attribute(attr=method, value=ast.Name(id="_log" | "log")) if method in METHODS:
            return True
        case ast.Attribute(attr=method, value=ast.Call(func=ast.Attribute(attr="get_logger"))):
            return method in METHODS
        case _:
            return False


def calls(path: Path) -> Iterator[ast.Call]:
    """Every call of a logger in a file."""
    for node in nodes_of(path):
        if isinstance(node, ast.Call) and is_logger(node.func):
            yield node


def method_of(call: ast.Call) -> str | None:
    """Give the method that is called; None for an alias, whose level is a variable."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else None


def fields_of(call: ast.Call) -> set[str]:
    """Give the names of what is logged, an exception by the name it has in the line."""
    names = {keyword.arg or "**" for keyword in call.keywords}
    if "exc_info" in names or method_of(call) == "exception":
        names = names - {"exc_info"} | {"exception"}
    return names - {"**"}


def events_of(path: Path, call: ast.Call) -> Iterator[tuple[str, str]]:
    """Give the events that a call may log, each with its level."""
    method = method_of(call)
    if call.args and isinstance(call.args[0], ast.Constant):
        event = str(call.args[0].value)
        levels = EVENTS[event].levels if event in EVENTS else ("",)
        is_open = method in {None, "log"}
        yield event, levels[0] if is_open else "error" if method == "exception" else str(method)
        return
    events = VARIABLE.get(name_of(path), ())
    assert events, f"{name_of(path)}:{call.lineno}: write its events into VARIABLE"
    for event in events:
        if method is None or method in EVENTS[event].levels:
            yield event, method or EVENTS[event].levels[0]


def mistakes() -> Iterator[str]:
    """Every call that logs what nobody has declared."""
    for path in python_files("gateway"):
        for call in calls(path):
            for event, level in events_of(path, call):
                wrong = find_undeclared(event, level, fields_of(call))
                if wrong is not None:
                    yield f"{name_of(path)}:{call.lineno}: {wrong}"


def literals() -> set[str]:
    """Every text in the package that is not in the declarations themselves."""
    files = [path for path in python_files("gateway") if DECLARED_IN not in name_of(path)]
    nodes = (node for path in files for node in nodes_of(path))
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_line_is_declared() -> None:
    """What is not declared is in no documentation, and nobody can choose its level."""
    assert list(mistakes()) == []


def test_every_logger_is_called_as_this_test_expects() -> None:
    """Calls of loggers under another name would not be looked at."""
    names = {
        (name_of(path), target.id)
        for path in python_files("gateway")
        for node in nodes_of(path)
        if isinstance(node, ast.Assign) and "get_logger" in ast.unparse(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    assert {name for _, name in names} == {"_log"}


def test_every_event_is_logged_somewhere() -> None:
    """One that was renamed keeps being waited for by somebody's alert."""
    logged = literals() | BY_HAND

    assert [name for name in EVENTS if name not in logged] == []


def test_declarations_are_of_one_form() -> None:
    """A name means the same in every line."""
    known = set(FIELDS) | set(EXCHANGE_FIELDS)

    for event in EVENTS.values():
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", event.name)
        assert not event.means.endswith(".")
        assert set(event.levels) <= METHODS
        assert set(event.fields) <= (known if event.name == SETTLED else set(FIELDS))


def test_every_field_that_is_explained_is_in_a_line() -> None:
    """A field that was renamed is looked for in vain."""
    used = {field for name, event in EVENTS.items() if name != SETTLED for field in event.fields}

    assert set(FIELDS) == used
