"""Batches of lines in, those that are meant out.

The rule here: every line is counted once: read, and where nobody of ours wrote it, foreign too.
"""

from typing import Final

import msgspec

from gateway.core.events.exchange import SETTLED
from gateway.logs.choice import Choice
from gateway.logs.lines import Fields, find_object, parse_line
from gateway.logs.logfmt import parse_logfmt
from gateway.logs.summary import Settled, Summary

_MARK: Final = SETTLED.encode()  # in every line of an exchange

_decode = msgspec.json.Decoder(Settled).decode


class Reader:
    """Reads what somebody asked for, and counts what it saw."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self.lines = 0
        self.foreign = 0

    def choose(self, batch: list[bytes]) -> list[tuple[bytes, Fields]]:
        """The lines that are meant, each with its fields."""
        chosen = []
        for line in batch:
            fields = self._parse(line)
            if fields is not None and self._choice.takes(fields):
                chosen.append((line, fields))
        return chosen

    def add_up(self, batch: list[bytes], summary: Summary) -> None:
        """Add the exchanges that are meant to a summary."""
        looks_inside = self._choice.looks_inside
        for line in batch:
            if _MARK not in line or looks_inside:
                fields = self._parse(line)
                if fields is None or _MARK not in line or not self._choice.takes(fields):
                    continue
            else:
                self.lines += 1
            settled = self._parse_settled(line)
            if settled is not None and self._choice.takes_time(settled.timestamp):
                summary.add(settled)

    def _parse(self, line: bytes) -> Fields | None:
        if not line.strip():
            return None
        self.lines += 1
        fields = parse_line(line)
        if fields is None:
            self.foreign += 1
        return fields

    def _parse_settled(self, line: bytes) -> Settled | None:
        """The exchange of a line that has the mark; None where something else has it."""
        written = find_object(line)
        try:
            if written is None:
                settled = msgspec.convert(parse_logfmt(line), Settled)
            else:
                settled = _decode(written)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            settled = None
        if settled is None:
            self.foreign += 1
            return None
        return settled if settled.event == SETTLED else None
