"""Batches of lines in, those that are meant out.

The rule here: every line is counted once: read, and where nobody of ours wrote it, foreign too.
"""

from typing import Final

import msgspec

from gateway.core.events.exchange import SETTLED
from gateway.logs.choice import Choice
from gateway.logs.lines import Fields, find_behind, find_object, parse_line
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
            written, fields = self._parse(line)
            if fields is not None and self._choice.takes(fields):
                chosen.append((written, fields))
        return chosen

    def add_up(self, batch: list[bytes], summary: Summary) -> None:
        """Add the exchanges that are meant to a summary."""
        looks_inside = self._choice.looks_inside
        for line in batch:
            written = line
            if _MARK not in line or looks_inside:
                written, fields = self._parse(line)
                if fields is None or _MARK not in written or not self._choice.takes(fields):
                    continue
            else:
                self.lines += 1
            settled = self._parse_settled(written)
            if settled is not None and self._choice.takes_time(settled.timestamp):
                summary.add(settled)

    def _parse(self, line: bytes) -> tuple[bytes, Fields | None]:
        """The fields of a line; also the line, without the half one that stands before it."""
        if not line.strip():
            return line, None
        self.lines += 1
        fields = parse_line(line)
        if fields is None:
            for behind in find_behind(line):
                fields = parse_line(behind)
                if fields is not None:
                    return behind, fields
            self.foreign += 1
        return line, fields

    def _parse_settled(self, line: bytes) -> Settled | None:
        """The exchange of a line that has the mark; None where something else has it."""
        settled = _decode_settled(line)
        if settled is None:
            settled = next(filter(None, map(_decode_settled, find_behind(line))), None)
        if settled is None:
            self.foreign += 1
            return None
        return settled if settled.event == SETTLED else None


def _decode_settled(line: bytes) -> Settled | None:
    written = find_object(line)
    try:
        if written is None:
            return msgspec.convert(parse_logfmt(line), Settled)
        return _decode(written)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
