"""From what the models refuse to what an operator reads.

Rule: say what is wrong and what would be right; never quote a value, it may be a credential.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway.config.document import Document
from gateway.config.forms import MEANINGS
from gateway.config.mistakes import Mistake, MistakesError
from gateway.config.problems import KeyPath, Problem
from gateway.config.registry import RegistryFile
from gateway.config.settings import Settings
from gateway.config.shapes import inside, models_in

NAMES_SHOWN_MAX = 12
INJECTED = "name"  # of a provider: it is the key, not a field to write

# What people write, from the words of other programs.
HINTS = {
    "api_base": "write base_url",
    "api_key": "write credential: ${VARIABLE}, or set the variable named by env",
    "api_keys": "write credentials: [${VARIABLE}, ${ANOTHER}]",
    "apikey": "write credential: ${VARIABLE}, or set the variable named by env",
    "token": "write credential: ${VARIABLE}, or set the variable named by env",
    "cors": "write server: {cors_origins: [https://chat.example.org]}",
    "endpoint": "write base_url",
    "host_url": "write base_url",
    "insecure": "verification cannot be switched off; name the authority in tls.ca_file",
    "name": "the name is the key above; write label for the name that people see",
    "proxy": "proxies are not supported",
    "uri": "write base_url",
    "url": "write base_url",
    "verify": "verification cannot be switched off; name the authority in tls.ca_file",
    "verify_ssl": "verification cannot be switched off; name the authority in tls.ca_file",
}

KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a fraction"),
    (str, "text"),
    (dict, "a block"),
    ((list, tuple), "a list"),
    (type(None), "nothing"),
)

# Error types of pydantic that only say which kind of value is needed.
NEEDS = {
    "bool_type": "true or false",
    "decimal_parsing": "a number",
    "decimal_type": "a number",
    "dict_type": "a block of `key: value` lines",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list, such as [one, two]",
    "model_attributes_type": "a block of `key: value` lines",
    "model_type": "a block of `key: value` lines",
    "path_type": "the path of a file",
    "string_type": "text",
    "tuple_type": "a list, such as [one, two]",
}

# Error types with a bound: the words, and where pydantic keeps the bound.
BOUNDS = {
    "decimal_max_places": (
        "has too many decimal places; at most {} are allowed",
        "decimal_places",
    ),
    "greater_than": ("needs to be more than {}", "gt"),
    "greater_than_equal": ("needs to be {} or more", "ge"),
    "less_than": ("needs to be less than {}", "lt"),
    "less_than_equal": ("needs to be {} or less", "le"),
    "string_too_long": ("is too long; at most {} characters are allowed", "max_length"),
    "string_too_short": ("is too short; {} or more characters are needed", "min_length"),
    "too_long": ("has too many entries; at most {} are allowed", "max_length"),
    "too_short": ("is empty; write {} or more", "min_length"),
}


def explain_errors(
    document: Document, model: type[BaseModel], errors: Sequence[ErrorDetails]
) -> list[Problem]:
    """Return one problem for each thing that is wrong, at its place in the file."""
    found: dict[tuple[KeyPath, str], Problem] = {}
    for error in errors:
        if _follows(error, errors):
            continue
        for path, message, at_key, _ in _mistakes_of(document, model, error):
            # A union refuses a value once for each of its members; that is one mistake.
            kind = "type" if error["type"] in NEEDS else message
            found.setdefault((path, kind), document.problem(path, message, at_key=at_key))
    return list(found.values())


def explain_items(
    document: Document, model: type[BaseModel], errors: Sequence[ErrorDetails]
) -> list[Problem]:
    """Return only what is wrong with an item by itself, whatever else is missing around it."""
    return [
        document.problem(mistake.path, mistake.message, at_key=mistake.at_key)
        for error in errors
        if isinstance(error.get("ctx", {}).get("error"), MistakesError)
        and not any(models_in(annotation_at(model, error["loc"])))
        for mistake in _mistakes_of(document, model, error)
        if not mistake.is_beside and mistake.path != _written_path(document, error)
    ]


def paths_of(document: Document, model: type[BaseModel], error: ErrorDetails) -> Iterator[KeyPath]:
    """Yield where in the file an error says that something is wrong."""
    for mistake in _mistakes_of(document, model, error):
        yield mistake.path


def _mistakes_of(
    document: Document, model: type[BaseModel], error: ErrorDetails
) -> Iterator[Mistake]:
    """Yield what one error stands for, each with its path in the file."""
    said = error.get("ctx", {}).get("error")
    if not isinstance(said, MistakesError):
        at_key = error["type"] == "extra_forbidden" or _is_name(error)
        yield Mistake(_written_path(document, error), _message(model, error), at_key)
        return
    path = _written_path(document, error)
    for mistake in said.found:
        above = path[:-1] if mistake.is_beside else path
        yield mistake._replace(path=(*above, *mistake.path))


def _follows(error: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Whether the error only follows from another mistake that is reported."""
    if error["type"] == "default_factory_not_called":  # derived from a value that is wrong
        return True
    # What is wrong inside a list or block is taken out of it, and then it is too short.
    loc, depth = error["loc"], len(error["loc"])
    return error["type"] == "too_short" and any(
        other["loc"][:depth] == loc and len(other["loc"]) > depth for other in errors
    )


def _is_name(error: ErrorDetails) -> bool:
    """Whether the error is about the name of a provider, which is a key in the file."""
    return error["loc"][-1:] == (INJECTED,) and error["loc"][:1] == ("providers",)


def _written_path(document: Document, error: ErrorDetails) -> KeyPath:
    """Return the error's location without the steps that the file does not have."""
    loc = error["loc"]
    if _is_name(error) and error["type"] != "extra_forbidden":
        return loc[:-1]
    path: KeyPath = ()
    for at, step in enumerate(loc):
        below = (*path, step)
        is_missing = error["type"] == "missing" and at == len(loc) - 1
        if below in document.values or is_missing:
            path = below
    return path


def _message(model: type[BaseModel], error: ErrorDetails) -> str:
    """Return what is wrong and what would be right."""
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(model, error["loc"])
    if kind == "missing":
        return _missing(model, error["loc"])
    if kind in NEEDS:
        # A union of both sorts of number adds the sort it tried to the location.
        is_either = error["loc"][-1:] in {("int",), ("float",)}
        return _wrong_kind("a number" if is_either else NEEDS[kind], error)
    return _unfit(error)


def _unfit(error: ErrorDetails) -> str:
    """Return the message for a value of the right kind that does not fit."""
    kind = error["type"]
    context: dict[str, Any] = error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in BOUNDS:
        words, bound = BOUNDS[kind]
        limit = context[bound]
        return words.format(f"{limit:g}" if isinstance(limit, float) else limit)
    if kind == "string_pattern_mismatch":
        return f"needs to be {MEANINGS.get(context['pattern'], context['pattern'])}"
    if kind in {"literal_error", "union_tag_invalid"}:
        return _not_one_of(error, str(context.get("expected") or context.get("expected_tags")))
    if kind == "union_tag_not_found":
        return f"needs the key {str(context['discriminator']).strip(chr(39))}"
    return str(error["msg"]).lower()


def _wrong_kind(needed: str, error: ErrorDetails) -> str:
    """Return the message for a value of the wrong kind."""
    value = error["input"]
    found = next((word for kinds, word in KINDS if isinstance(value, kinds)), "something else")
    if needed == "text" and isinstance(value, bool | int | float):
        return f"needs text, not {found}; put it in quotes"
    if isinstance(value, str) and ("number" in needed or needed == "true or false"):
        return f"needs {needed}, not text; write it without quotes and units"
    if value is None:
        return f"needs {needed}, but is empty; write it or leave the key out"
    return f"needs {needed}, not {found}"


def _not_one_of(error: ErrorDetails, expected: str) -> str:
    """Return the message for a word that is not among the known ones."""
    words = expected.replace("'", "").replace(" or ", ", ").split(", ")
    if len(words) == 1:
        return f"needs to be {words[0]}"
    value = error["input"]
    if isinstance(value, dict):  # the tag of a block
        value = value.get("kind")
    near = get_close_matches(value, words, 1) if isinstance(value, str) else []
    return f"needs to be one of {', '.join(words)}" + (f"; did you mean {near[0]}?" if near else "")


def _missing(model: type[BaseModel], loc: KeyPath) -> str:
    """Return the message for a key that has to be there."""
    annotation = annotation_at(model, loc[:-1])
    for option in models_in(annotation):
        field = option.model_fields.get(str(loc[-1]))
        if field is not None and field.description:
            what = field.description.split(". ")[0].rstrip(".")
            return f"is missing; write {what[:1].lower()}{what[1:]}"
    return "is missing; write it"


def _unknown_key(model: type[BaseModel], loc: KeyPath) -> str:
    """Return the message for a key nobody knows, with the nearest one that is known."""
    key = str(loc[-1])
    if len(loc) == 1 and (file := _file_with(key)) is not None:
        return f"unknown key; it belongs in {file}"
    options = list(models_in(annotation_at(model, loc[:-1])))
    # A block of a tagged union: its tag is the last step, the other members' keys do not help.
    tagged = [o for o in options if len(loc) > 1 and _tag_of(o) == loc[-2]]
    names = sorted(
        {name for option in tagged or options for name in option.model_fields} - {INJECTED}
    )
    if key in HINTS and (key == INJECTED or key not in names):
        return f"unknown key; {HINTS[key]}"
    near = get_close_matches(key, names, 1)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    shown = ", ".join(names[:NAMES_SHOWN_MAX]) + (", …" if len(names) > NAMES_SHOWN_MAX else "")
    return f"unknown key; known here: {shown}"


def _file_with(key: str) -> str | None:
    """Return which of the two files has this key at its top."""
    if key in RegistryFile.model_fields:
        return "providers.yaml"
    return "gateway.yaml" if key in Settings.model_fields else None


def _tag_of(model: type[BaseModel]) -> str | None:
    """Return the `kind` of a member of a tagged union."""
    field = model.model_fields.get("kind")
    return None if field is None else str(get_args(field.annotation)[0])


def annotation_at(model: type[BaseModel], loc: KeyPath) -> Any:  # noqa: ANN401 - an annotation can be anything
    """Return the annotation of what stands at a location; steps that name no field are skipped."""
    annotation: Any = model
    for step in loc:
        annotation = inside(annotation, step)
    return annotation
