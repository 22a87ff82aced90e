"""Reading the models' annotations: what blocks they hold, and what to call a field's type.

Rule: looks at types only, never at a value.
"""

import types
from collections.abc import Iterator
from decimal import Decimal
from inspect import isclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    Decimal: "number",
    str: "text",
    SecretStr: "text",
    Path: "path",
}


def shape_of(annotation: Any) -> str:  # noqa: ANN401 - an annotation can be anything
    """Return the words for a field's type, as an operator would say it."""
    words: list[str] = []
    for option in options_of(annotation):
        word = _word(option)
        if word and word not in words:
            words.append(word)
    return "number" if words == ["whole number", "number"] else " or ".join(words)


def _word(option: Any) -> str:  # noqa: ANN401 - an annotation can be anything
    """Return the words for one member of a union; nothing for None."""
    origin = get_origin(option)
    if option is type(None):
        return ""
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(option))
    if origin is tuple:
        item = get_args(option)[0]
        return "list of blocks" if any(models_in(item)) else f"list of {shape_of(item)}"
    if origin is dict:
        return "block"
    return WORDS.get(option, "anything")


def inside(annotation: Any, step: str | int) -> Any:  # noqa: ANN401 - an annotation can be anything
    """Return the annotation one step further in, or the same one."""
    for option in options_of(annotation):
        arguments = get_args(option)
        if isclass(option) and issubclass(option, BaseModel) and step in option.model_fields:
            return option.model_fields[str(step)].annotation
        if get_origin(option) is dict and isinstance(step, str):
            return arguments[1]
        if get_origin(option) is tuple and isinstance(step, int):
            return arguments[0]
    return annotation


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - an annotation can be anything
    """Yield the models among the members of an annotation."""
    for option in options_of(annotation):
        if isclass(option) and issubclass(option, BaseModel):
            yield option


def options_of(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - an annotation can be anything
    """Yield the members of a union, without the notes attached to them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from options_of(get_args(annotation)[0])
    elif origin is Union or origin is types.UnionType:
        for member in get_args(annotation):
            yield from options_of(member)
    else:
        yield annotation
