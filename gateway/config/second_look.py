"""What the first mistakes of a file have hidden.

Rule: a list or a block is looked at as a whole only where each of its items is right. Those that
are wrong are left out then, and of what is found only that counts which an item says of itself.
"""

from collections.abc import Callable, Sequence

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway.config.document import Document
from gateway.config.explain import annotation_at, explain_items, paths_of
from gateway.config.problems import KeyPath, Problem
from gateway.config.shapes import models_in

ROUNDS_MAX = 10  # each leaves out what is deepest: a file is a few items deep


def look_again(
    document: Document,
    model: type[BaseModel],
    errors: Sequence[ErrorDetails],
    validate: Callable[[Document], Sequence[ErrorDetails]],
) -> list[Problem]:
    """Return what is wrong beside the errors, and was not looked at because of them."""
    found: list[Problem] = []
    rest = document
    for _ in range(ROUNDS_MAX):
        wrong = _deepest(_items_at_fault(rest, model, errors))
        if not wrong:
            break
        rest = rest.without(wrong)
        errors = validate(rest)
        found += explain_items(rest, model, errors)
    return found


def _items_at_fault(
    document: Document, model: type[BaseModel], errors: Sequence[ErrorDetails]
) -> set[KeyPath]:
    paths = {path for error in errors for path in paths_of(document, model, error)}
    return {item for path in paths if (item := _item_around(document, model, path))}


def _item_around(document: Document, model: type[BaseModel], path: KeyPath) -> KeyPath:
    """Return the path of the innermost item that a path leads into; nothing where there is none."""
    while path and (path not in document.values or _is_field(model, path)):
        path = path[:-1]
    return path


def _is_field(model: type[BaseModel], path: KeyPath) -> bool:
    return any(models_in(annotation_at(model, path[:-1])))


def _deepest(items: set[KeyPath]) -> set[KeyPath]:
    depth = max(map(len, items), default=0)
    return {item for item in items if len(item) == depth}
