"""Checks of request fields, each in one place.

The rule here: a refusal names the field in its message and in `param`, but never the value.
"""

from typing import Any, Final

from gateway.core.errors import InvalidRequestError

MAX_MODEL_CHARS: Final = 256


def refuse(field: str, must: str) -> InvalidRequestError:
    """The error that says what `field` must be."""
    return InvalidRequestError(f"`{field}` must be {must}.", param=field)


def require_model_text(value: object, field: str) -> str:
    """A model's name: short and printable, since it ends up in logs and in other messages."""
    if type(value) is not str:
        raise refuse(field, "a string")
    if len(value) > MAX_MODEL_CHARS:
        raise refuse(field, f"at most {MAX_MODEL_CHARS} characters long")
    if not value.isprintable():
        raise refuse(field, "printable")
    return value


def require_messages(value: object) -> list[dict[str, Any]]:
    """A non-empty list of objects, each with a role."""
    if type(value) is not list or not value:
        raise refuse("messages", "a non-empty list")
    for index, message in enumerate(value):
        if type(message) is not dict:
            raise refuse(f"messages[{index}]", "an object")
        if type(message.get("role")) is not str:
            raise refuse(f"messages[{index}].role", "a string")
    return value


def optional_bool(value: object, field: str) -> bool:
    """True or false; null and absent are false."""
    if value is not None and type(value) is not bool:
        raise refuse(field, "true or false")
    return bool(value)
