"""What a line has to be like to be shown: `provider=groq`, `status>=500`, `model~llama`.

The rule here: a line that lacks the field is never meant, whatever the operator; one where it is
null is meant by `!=` and by `field=null`.
"""

import operator
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from gateway.core.clock import system_clock
from gateway.core.durations import parse_span, render_timestamp
from gateway.core.moments import parse_date, parse_moment
from gateway.logs.fields import FLAGS, LABEL, LEVELS, NUMBERS, FieldError, find_field, is_time
from gateway.logs.lines import Fields, as_text

# Of every condition; a path has a slash, or none of these signs.
_CONDITION = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)(?P<sign>!=|>=|<=|!~|==|=|>|<|~)(?P<value>.*)")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")
_BEGUN = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2})?)?)?")  # of a time: all within it
_SOME_MOMENT = "2000-01-01T00:00"  # whose end completes a time that is only begun
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_NOTHING: Final = frozenset({"", "null"})
_TRUTH: Final = {"true": True, "false": False}

Test = Callable[[Any], bool]


class ConditionError(ValueError):
    """A condition that cannot hold; the text says how to write it."""


class Condition(msgspec.Struct, frozen=True):
    """One thing that has to hold."""

    field: str
    test: Test
    label: str = ""  # in `labels`

    def holds(self, fields: Fields) -> bool:
        """True for a line that is meant."""
        if self.field not in fields:
            return False
        value = fields[self.field]
        if self.label:
            if not isinstance(value, dict) or self.label not in value:
                return False
            value = value[self.label]
        return self.test(value)


def looks_like_condition(word: str) -> bool:
    """True for what is read as a condition; a file of that name needs `./` before it."""
    return _CONDITION.fullmatch(word) is not None


def parse_condition(word: str) -> Condition:
    """A condition as it was written; ConditionError when it makes no sense."""
    found = _CONDITION.fullmatch(word)
    if found is None:
        raise ConditionError(f"{word!r} is no condition: write FIELD=VALUE, as in provider=groq")
    name, sign, value = found["name"], found["sign"], found["value"]
    try:
        find_field(name)
    except FieldError as error:
        raise ConditionError(f"{word!r}: {error}") from None
    try:
        test = _make_test(name, sign, value)
    except ValueError as error:
        raise ConditionError(f"{word!r}: {error}") from None
    if name.startswith(LABEL):
        return Condition("labels", test, name.removeprefix(LABEL))
    return Condition(name, test)


def _make_test(name: str, sign: str, value: str) -> Test:
    if sign in {"!=", "!~"}:
        test = _make_test(name, sign.replace("!=", "=").replace("!~", "~"), value)
        return lambda found: not test(found)
    if sign == "~":
        return _matching(value)
    if sign in _ORDERS:
        return _ordered(name, _ORDERS[sign], value)
    return _equal(name, value)


def _matching(value: str) -> Test:
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None

    def test(found: object) -> bool:
        values = found if isinstance(found, list) else [found]
        return any(value is not None and pattern.search(as_text(value)) for value in values)

    return test


def _ordered(name: str, compare: Callable[[Any, Any], bool], value: str) -> Test:
    if name == "timestamp":  # all are written alike, so that their order is that of their text
        at = _read_begun(value) if _BEGUN.fullmatch(value) else _read_moment(value)
        return lambda found: isinstance(found, str) and compare(found, at)
    if name == "level":
        if value not in LEVELS:
            raise ValueError(f"levels are {', '.join(LEVELS)}")
        lowest = LEVELS.index(value)
        return lambda found: found in LEVELS and compare(LEVELS.index(found), lowest)
    if not _is_number(name):
        raise ValueError(f"{name} is text, which is compared by =, !=, ~ and !~")
    number = _read_number(name, value)
    return lambda found: type(found) in {int, float} and compare(found, number)


def _equal(name: str, value: str) -> Test:
    if value in _NOTHING:
        return lambda found: found is None or found == ""
    value = _unquote(value)
    if name == "level" and value not in LEVELS:
        raise ValueError(f"levels are {', '.join(LEVELS)}")
    if name in FLAGS:
        if value not in _TRUTH:
            raise ValueError(f"{name} is true or false")
        flag = _TRUTH[value]
        return lambda found: found is flag
    if _is_number(name):
        number = _read_number(name, value)
        return lambda found: type(found) in {int, float} and found == number

    def test(found: object) -> bool:
        values = found if isinstance(found, list) else [found]
        return any(as_text(one) == value for one in values)

    return test


def _read_begun(value: str) -> str:
    """The beginning of a time, as it is; ValueError where no time begins so."""
    parse_date(value + _SOME_MOMENT[len(value) :])
    return value


def _read_moment(value: str) -> str:
    """A time as lines have it, from any zone; also how long ago it was."""
    return render_timestamp(parse_moment(value, system_clock()))


def _unquote(value: str) -> str:
    """What stands in quotes, as logfmt has it; any other text as it is."""
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(value, type=str)
    return value


def _is_number(name: str) -> bool:
    return name in NUMBERS or is_time(name)


def _read_number(name: str, value: str) -> float:
    """A number; of a time also with its unit: 2, 2s, 500ms."""
    if _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    example = "2, 2s or 500ms" if is_time(name) else "500"
    if is_time(name):
        try:
            return parse_span(value)
        except ValueError:
            pass
    raise ValueError(f"{name} is a number, such as {example}")
