"""The reference of directives and presets as Markdown tables, made from the models themselves.

The rule here: nothing is described twice; what the docs say of a field is its own description.
"""

from __future__ import annotations

import json
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from gateway.simulator import blocks
from gateway.simulator.directive import Directive
from gateway.simulator.presets import PRESETS

BLOCKS: tuple[tuple[str, type[Struct]], ...] = (
    ("sse", blocks.SseStyle),
    ("comments", blocks.Comments),
    ("writes", blocks.Writes),
    ("http", blocks.HttpStyle),
    ("error", blocks.ErrorReply),
    ("stream_error", blocks.StreamError),
    ("cut", blocks.Cut),
    ("stall", blocks.Stall),
    ("junk", blocks.Junk),
    ("tool_calls", blocks.ToolCall),
)


def render_fields(model: type[Struct]) -> str:
    """The table of one model's fields."""
    hints = get_type_hints(model, include_extras=True)
    rows = ["| field | value | default | what |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(model):
        hint = hints[field.name]
        default = _default(field)
        kind = _kind(hint).replace("|", "\\|")
        rows.append(f"| `{field.name}` | {kind} | {default} | {_description(hint)} |")
    return "\n".join(rows)


def render_presets() -> str:
    """The table of all presets, each with the directive it stands for."""
    rows = ["| preset | directive |", "|---|---|"]
    for name, preset in PRESETS.items():
        text = json.dumps(preset, ensure_ascii=False).replace("|", "\\|")
        rows.append(f"| `{name}` | `{text}` |")
    return "\n".join(rows)


def render_reference() -> str:
    """All tables, under one heading each."""
    parts = ["### Fields of a directive", render_fields(Directive)]
    for name, model in BLOCKS:
        parts += [f"### Fields of `{name}`", render_fields(model)]
    return "\n\n".join([*parts, "### Presets", render_presets()]) + "\n"


def _description(hint: object) -> str:
    if get_origin(hint) is not Annotated:
        return "see the table of its fields"
    texts = [meta.description for meta in get_args(hint)[1:] if isinstance(meta, Meta)]
    return next((text for text in reversed(texts) if text), "see the table of its fields")


def _kind(hint: Any) -> str:  # noqa: ANN401 - a type hint has no better type
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _kind(args[0])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(arg) for arg in args if arg is not types.NoneType)
    if origin is tuple:
        return "list"
    if isinstance(hint, type) and issubclass(hint, Struct):
        return "object"
    return {bool: "true or false", int: "number", float: "number", str: "text"}.get(hint, "object")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is None or field.default_factory is dict:
        return "-"
    if field.default is msgspec.NODEFAULT:
        return "required" if field.required else "-"
    if isinstance(field.default, Struct | tuple):
        return "-"
    shown = json.dumps(field.default, ensure_ascii=False)
    return f"`{shown}`" if field.default != "" else "-"
