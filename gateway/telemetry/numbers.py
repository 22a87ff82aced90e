"""The numbers of one process at one moment, and how those of several become one.

The rule here: a counter of a worker that died stays counted; its gauges are gone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from gateway.telemetry.definitions import DEFINITIONS, Across, Definition

_BY_NAME = {definition.name: definition for definition in DEFINITIONS}

Labels = tuple[str, ...]


class Spread(msgspec.Struct, array_like=True):
    """One histogram: how many values are in each bucket, the one above all bounds last."""

    counts: list[int]
    total: float


Value = float | Spread


class Numbers(msgspec.Struct, array_like=True):
    """The present values of one metric, by the values of its labels."""

    name: str
    values: list[tuple[Labels, Value]]

    @property
    def definition(self) -> Definition:
        """What it is."""
        return _BY_NAME[self.name]


def is_known(numbers: Numbers) -> bool:
    """Whether this release counts so: a worker that was started anew may be of another one."""
    definition = _BY_NAME.get(numbers.name)
    if definition is None:
        return False
    buckets = len(definition.bounds) + 1 if definition.bounds else 0
    return all(
        len(labels) == len(definition.labels)
        and (len(value.counts) if isinstance(value, Spread) else 0) == buckets
        for labels, value in numbers.values
    )


def numbers_of(definition: Definition, values: Iterable[tuple[Labels, Value]]) -> Numbers:
    """The present values of a metric."""
    return Numbers(definition.name, list(values))


def lone(definition: Definition, value: Value) -> Numbers:
    """The present value of a metric without labels."""
    return Numbers(definition.name, [((), value)])


def remain(numbers: Iterable[Numbers]) -> list[Numbers]:
    """What is left of a worker that is gone."""
    return [one for one in numbers if one.definition.kind != "gauge"]


def add_up(parts: Mapping[str, Sequence[Numbers]]) -> list[Numbers]:
    """Those of several workers as one; the key names the worker where each has its own series."""
    merged: dict[str, dict[Labels, Value]] = {one.name: {} for one in DEFINITIONS}
    for worker, part in parts.items():
        for one in part:
            across = one.definition.across
            add, values = _WAYS[across], merged[one.name]
            for labels, value in one.values:
                key = (worker, *labels) if across == "each" else labels
                before = values.get(key)
                values[key] = value if before is None else add(before, value)
    return [Numbers(name, list(values.items())) for name, values in merged.items() if values]


def continue_from(before: Sequence[Numbers], own: Sequence[Numbers]) -> list[Numbers]:
    """A worker's numbers, with what those counted that were in its place before."""
    found = {one.name: dict(one.values) for one in remain(before)}
    continued: list[Numbers] = []
    for one in own:
        values = found.pop(one.name, {})
        for labels, value in one.values:
            earlier = values.get(labels)
            values[labels] = value if earlier is None else _add(earlier, value)
        continued.append(Numbers(one.name, list(values.items())))
    return continued + [Numbers(name, list(values.items())) for name, values in found.items()]


def _add(first: Value, second: Value) -> Value:
    if isinstance(first, Spread) and isinstance(second, Spread):
        counts = [one + other for one, other in zip(first.counts, second.counts, strict=True)]
        return Spread(counts, first.total + second.total)
    return _number(first) + _number(second)


def _number(value: Value) -> float:
    if isinstance(value, Spread):
        raise TypeError("A histogram is no number.")
    return value


_WAYS: Mapping[Across, Callable[[Value, Value], Value]] = {
    "sum": _add,
    "each": _add,
    "max": lambda first, second: max(_number(first), _number(second)),
    "min": lambda first, second: min(_number(first), _number(second)),
}
