"""Figures: one value for each round, and what they are worth together.

The rule here: a figure is a median, and never shown without its smallest and largest value.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from statistics import median


@dataclass(slots=True)
class Figure:
    """One figure, as it came out in each round."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The value to quote."""
        return median(self.values)

    def over(self, other: "Figure") -> "Figure | None":
        """This over another, round by round: both of a round saw the same noise."""
        pairs = list(zip(self.values, other.values, strict=False))
        if len(self.values) != len(other.values):  # a round of one of them gave nothing
            pairs = [(self.median, other.median)]
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        return Figure(ratios) if ratios else None

    def render(self) -> str:
        """The median, with the smallest and the largest value where there are more."""
        if len(self.values) == 1:
            return _short(self.median)
        return f"{_short(self.median)} ({_short(min(self.values))} to {_short(max(self.values))})"


@dataclass(slots=True)
class Results:
    """Everything that was measured, by subject, row and column."""

    tables: dict[str, dict[str, dict[str, Figure]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    exchanges: int = 0

    def add(self, subject: str, row: str, **columns: float) -> None:
        """Add one round's values."""
        cells = self.tables.setdefault(subject, {}).setdefault(row, {})
        for column, value in columns.items():
            cells.setdefault(column, Figure()).values.append(value)

    def find(self, subject: str, row: str, column: str) -> Figure | None:
        """A figure, if it was measured."""
        return self.tables.get(subject, {}).get(row, {}).get(column)

    def note(self, text: str) -> None:
        """Say something once that a reader must know."""
        if text not in self.notes:
            self.notes.append(text)


def percentile(values: tuple[float, ...], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _short(value: float) -> str:
    """About three digits, and two decimals at most: more than the noise leaves."""
    if round(abs(value), 2) == 0:
        return "0.00"  # not -0.00
    decimals = 2 - int(math.log10(abs(value)))
    return f"{value:.{min(2, max(0, decimals))}f}"
