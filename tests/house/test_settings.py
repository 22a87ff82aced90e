"""What may be written in a configuration file is read by the gateway.

The rule here: a field counts as read where any module takes an attribute of its name, so this finds
what was declared and forgotten, and not every mistake.
"""

import ast
from collections.abc import Iterator
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel

from gateway.config.registry import Provider
from gateway.config.settings import Settings
from gateway.config.shapes import options_of
from tests.house.tree import nodes_of, python_files


def blocks_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every block that a value of this type may hold, however deep."""
    for option in options_of(annotation):
        if isclass(option) and issubclass(option, BaseModel):
            yield option
            for field in option.model_fields.values():
                yield from blocks_in(field.annotation)
        else:
            for argument in get_args(option):
                yield from blocks_in(argument)


def test_every_setting_is_read() -> None:
    """A setting that is accepted and does nothing is worse than one that is refused."""
    read = {
        node.attr
        for path in python_files("gateway")
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }

    blocks = {*blocks_in(Settings), *blocks_in(Provider)}
    forgotten = [
        f"{block.__name__}.{name}"
        for block in blocks
        for name in block.model_fields
        if name not in read
    ]

    assert sorted(forgotten) == []
