"""From YAML text to a tree of nodes, each with its place.

Rule: only the plain part of YAML is read, no deeper than an operator would write: no tags, no merge
keys, no second document. What can be left unread is, so that the rest of the file is looked at too.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NoReturn

import yaml

from gateway.config.problems import ConfigError, Place, Problem

DEPTH_MAX = 32
MERGE = "<<"
# What the YAML reader says and, below it, what stands before the place in its line; and what helps.
# In this order: a pattern that began in the line would go through a long one once for each letter.
SYNTAX_HINTS = (
    (r"'\\t' that cannot start", "a tab where only spaces are allowed; indent with spaces"),
    ("expected ',' or '}', but got '{'", "put text that contains { or ${ in quotes inside { }"),
    (
        "mapping values are not allowed.*\n.*: ",
        "a second `: ` in a line; put text that contains `: ` in quotes",
    ),
    (
        "mapping values are not allowed",
        "the lines above go on here; indent this one less, or give the key above its `: `",
    ),
    ("that cannot start any token", "text that begins with such a character needs quotes"),
    ("expected the node content", "text that begins with such a character needs quotes"),
    ("expected alphabetic or numeric", "text that begins with * or & needs quotes"),
    ("expected (chomping|a comment)", "text that begins with | or > needs quotes"),
    ("sequence entries are not allowed", "a list entry, `- `, needs a line of its own"),
    (
        "(unknown|expected) escape",
        "a backslash in double quotes changes what follows; use single quotes",
    ),
    ("end of stream", "a quote is opened and never closed"),
    ("could not find expected ':'", "a key needs a colon and a space after it"),
    ("expected <block end>.*\n.*[^ -]", "more text stands behind its end; put all of it in quotes"),
    ("expected <block end>", "the indentation does not match the lines above"),
    ("expected '<document start>'", "not of the block that the file began with; indent both alike"),
    ("expected ',' or ']'", "a list that begins with [ needs commas and a closing ]"),
    ("expected ',' or '}'", "a block that begins with { needs commas and a closing }"),
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as it is written."""

    text: str
    is_plain: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: "tuple[Node, ...]"
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """A block of keys and values, in order and with duplicates."""

    pairs: "tuple[Pair, ...]"
    place: Place


Node = Scalar | Sequence | Mapping
Pair = tuple[Scalar, Node]


@dataclass(frozen=True, slots=True)
class Tree:
    """The one document of a text, and what in it was not read."""

    root: Node
    problems: tuple[Problem, ...]


def compose_tree(text: str, file: str) -> Tree:
    """Return the one document in a text; ConfigError when there is none that can be read."""
    with suppress(yaml.YAMLError):
        # libyaml is 16 times as fast. Event by event: its whole scan of deep nesting is quadratic.
        events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return _Composer(file, events).compose()
    return _Composer(file, _explained_events(text, file)).compose()


def _explained_events(text: str, file: str) -> Iterator[yaml.Event]:
    """Yield the events of PyYAML's own parser, whose messages are the same everywhere."""
    try:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        said = getattr(error, "problem", None) or "a character that YAML does not allow"
        # What is never closed is shown where it was opened, not at the end of the file.
        is_at_end = "end of stream" in said or "<stream end>" in said
        at_end = is_at_end and getattr(error, "context_mark", None)
        mark = at_end or getattr(error, "problem_mark", None)
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        seen = f"{said}\n{text[mark.index - mark.column : mark.index]}" if mark else said
        hint = next((hint for sign, hint in SYNTAX_HINTS if re.search(sign, seen)), None)
        message = f"not YAML here: {hint}" if hint else f"not YAML here: {said}"
        raise ConfigError([Problem(file, place.line, place.column, "", message)]) from None


class _Composer:
    """Builds the tree of one document out of the parser's events."""

    def __init__(self, file: str, events: Iterator[yaml.Event]) -> None:
        self.file = file
        self.events = events
        self.anchors: dict[str, Node] = {}
        self.problems: list[Problem] = []

    def compose(self) -> Tree:
        """Return the document; an empty file is an empty block."""
        tree: Node = Mapping((), Place(1, 1))
        documents = 0
        for event in self.events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            documents += 1
            if documents > 1:
                self.refuse(event, "a second document begins here; keep one, without ---")
            tree = self.node(next(self.events), 1)
        return Tree(tree, tuple(self.problems))

    def node(self, event: yaml.Event, depth: int) -> Node:
        """Return what begins at this event."""
        if depth > DEPTH_MAX:
            self.refuse(event, f"nested more than {DEPTH_MAX} deep")
        place = _start(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                self.refuse(event, f"*{event.anchor} refers to nothing above it")
            return replace(self.anchors[event.anchor], place=place)
        if getattr(event, "tag", None) is not None:
            self.note(event, "has a tag (!…); tags are not supported, write the plain value")
        node = self.content(event, place, depth)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def content(self, event: yaml.Event, place: Place, depth: int) -> Node:
        """Return the scalar, list or block that begins at this event."""
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
                items.append(self.node(event, depth + 1))
            return Sequence(tuple(items), place)
        if isinstance(event, yaml.MappingStartEvent):
            return Mapping(tuple(self.pairs(depth)), place)
        is_plain = isinstance(event, yaml.ScalarEvent) and not event.style
        return Scalar(getattr(event, "value", ""), is_plain, place)

    def pairs(self, depth: int) -> list[Pair]:
        """Return the keys and values of a block, up to its end."""
        found: list[Pair] = []
        merged: list[Pair] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event, depth)
            value = self.node(next(self.events), depth + 1)
            if key is not None:
                found.append((key, value))
            elif getattr(event, "value", "") == MERGE and isinstance(value, Mapping):
                merged += value.pairs
        # Refused; but what it would bring along is not missing as well.
        written = {key.text for key, _ in found}
        return [*found, *(pair for pair in merged if pair[0].text not in written)]

    def key(self, event: yaml.Event, depth: int) -> Scalar | None:
        """Return a key; only a word can be one, and nothing else is read."""
        if not isinstance(event, yaml.ScalarEvent):
            self.note(event, "a key needs to be a word")
            self.node(event, depth + 1)
            return None
        is_word = event.value not in {"", MERGE}
        if event.tag is not None or not is_word:
            self.note(event, "a key needs to be a word; tags and merge keys (<<) are not read")
        if event.anchor is not None:
            self.anchors[event.anchor] = Scalar(event.value, not event.style, _start(event))
        return Scalar(event.value, not event.style, _start(event)) if is_word else None

    def note(self, event: yaml.Event, message: str) -> None:
        """Say what is wrong at this event, and go on."""
        place = _start(event)
        self.problems.append(Problem(self.file, place.line, place.column, "", message))

    def refuse(self, event: yaml.Event, message: str) -> NoReturn:
        """Give the file up at this event."""
        self.note(event, message)
        raise ConfigError(self.problems)


def _start(event: yaml.Event) -> Place:
    """Return where an event begins."""
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
