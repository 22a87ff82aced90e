"""Every 503 says when to come back.

The rule here: the time is drawn, or all who were refused together come back together.
"""

import ast
from collections.abc import Iterator

from gateway.core import admin_errors, errors
from gateway.core.errors import GatewayError
from tests.house.tree import name_of, nodes_of, python_files

UNAVAILABLE = 503
EXCEPTIONS = {
    "gateway/credentials/stored.py CredentialUnavailableError": "it is damaged: waiting is no use",
    "gateway/overload/door.py OverloadedError": "a template; the time is written into it each time",
}


def find_classes() -> frozenset[str]:
    """The names of the errors that are a 503."""
    members = [*vars(errors).values(), *vars(admin_errors).values()]
    return frozenset(
        one.__name__
        for one in members
        if isinstance(one, type) and issubclass(one, GatewayError) and one.status == UNAVAILABLE
    )


def find_calls() -> Iterator[tuple[str, ast.Call]]:
    """Each place where one is made, by its file and class."""
    classes = find_classes()
    for path in python_files("gateway"):
        for node in nodes_of(path):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in classes:
                yield f"{name_of(path)} {node.func.id}", node


def has_drawn_time(call: ast.Call) -> bool:
    """Whether it says when, by chance."""
    headers = next((one.value for one in call.keywords if one.arg == "headers"), None)
    return isinstance(headers, ast.Call) and ast.unparse(headers.func) == "come_back"


def test_every_503_has_a_time_that_is_drawn() -> None:
    """A database that is away for a second refuses a thousand callers in it."""
    without = {place for place, call in find_calls() if not has_drawn_time(call)}

    assert without == EXCEPTIONS.keys()


def test_there_are_some() -> None:
    """A search that finds nothing finds no mistake either."""
    assert "OverloadedError" in find_classes()
    assert sum(1 for _ in find_calls()) > len(EXCEPTIONS)
