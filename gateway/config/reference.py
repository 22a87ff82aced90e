"""The tables of every field that may be written, as Markdown.

Rule: made from the models, so that the documentation cannot name a field that is not there.
"""

import json
import re
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from gateway.config.explain import INJECTED
from gateway.config.registry import Provider
from gateway.config.settings import Settings
from gateway.config.shapes import inside, models_in, shape_of

ANY_KEY = "name"
LIST_OF_BLOCKS = "list of blocks"
DERIVED = re.compile(r"Default: (.*)\.$")  # how a default that is computed describes itself
HEAD = "| field | type | default | what it does |\n|---|---|---|---|\n"


def provider_table() -> str:
    """Return the table of what a provider's entry may hold."""
    rows = list(_rows(Provider, ""))
    # Whoever adds a provider begins with the one line that has no default.
    rows.sort(key=lambda row: "| required |" not in row or "." in row.split("|")[1])
    return HEAD + "".join(rows)


def settings_table() -> str:
    """Return the table of what gateway.yaml may hold."""
    return HEAD + "".join(_rows(Settings, ""))


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Yield one row for each field of a model and of the models inside it."""
    for name, field in model.model_fields.items():
        if model is Provider and name == INJECTED:
            continue
        path = prefix + name
        shape = shape_of(field.annotation)
        blocks = list(models_in(inside(field.annotation, 0)))
        is_list = shape == LIST_OF_BLOCKS
        if is_list or not blocks:
            yield _row(path, shape, field)
        for block in blocks:
            yield from _rows(block, f"{path}[]." if is_list else f"{path}.")
        for block in models_in(inside(field.annotation, ANY_KEY)):
            if block not in blocks and shape == "block":  # of a key that is somebody's choice
                yield from _rows(block, f"{path}.<{ANY_KEY}>.")


def _row(path: str, shape: str, field: FieldInfo) -> str:
    """Return the row of one field."""
    text = re.sub(r"\s+", " ", field.description or "")
    derived = DERIVED.search(text)
    if field.is_required():
        default = "required"
    elif field.default_factory is not None and derived is not None:
        default, text = derived[1], text[: derived.start()].strip()
    else:
        plain = to_jsonable_python(field.get_default())
        default = "" if plain is None else f"`{json.dumps(plain)}`"
    cells = (f"`{path}`", shape, default, text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
