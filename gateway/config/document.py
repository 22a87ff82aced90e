"""From a YAML file to plain values, with the place of each.

Rule: what YAML 1.1 and 1.2 read differently is refused instead of guessed.
"""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.problems import ConfigError, KeyPath, Place, Problem, render_path
from gateway.config.text import UNPRINTABLE, decode_text, read_bytes
from gateway.config.tree import Mapping, Node, Scalar, Sequence, compose_tree

NODES_MAX = 50_000  # after aliases are followed: ten lines of YAML can stand for a billion values
NUMBER_CHARS_MAX = 40

# YAML 1.2's core schema, without octal and hexadecimal.
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
FLOATING = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
WORDS: dict[str, object] = {"": None, "~": None, "null": None, "true": True, "false": False}
# true and false in YAML 1.1, text in YAML 1.2; editors and programs disagree about them.
AMBIGUOUS = frozenset({"yes", "no", "on", "off"})


@dataclass(slots=True)
class Document:
    """The values of one file, and where each value and each key stands.

    `problems`: what can be read in two ways. It is read in one of them, so that whatever else is
    wrong is found as well; a document with problems is of no other use.
    """

    file: str
    value: object = None
    values: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    # Where the items of a part of a document are in the whole of it.
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)

    def problem(self, path: KeyPath, message: str, *, at_key: bool = False) -> Problem:
        """Return a problem at a path, or at the nearest thing above it that is in the file."""
        known = path
        while known and known not in self.values:
            known = known[:-1]
        # What is missing is shown at the key of the block that misses it.
        use_key = at_key or known != path
        place = (self.keys.get(known) if use_key else None) or self.values[known]
        shown = (*self.origins.get(known, known), *path[len(known) :])
        return Problem(self.file, place.line, place.column, render_path(shown), message)

    def without(self, left_out: Collection[KeyPath]) -> "Document":
        """Return the document without what stands at these paths; each place is the old one."""
        rest = Document(self.file)
        rest.value = self._copy_to(rest, self.value, (), (), left_out)
        return rest

    def _copy_to(
        self,
        rest: "Document",
        value: object,
        path: KeyPath,
        new: KeyPath,
        left_out: Collection[KeyPath],
    ) -> object:
        """Return a value with its places noted in another document, where it has a new path."""
        for places, copied in ((self.values, rest.values), (self.keys, rest.keys)):
            if path in places:
                copied[new] = places[path]
        rest.origins[new] = self.origins.get(path, path)
        if isinstance(value, dict):
            return {
                key: self._copy_to(rest, below, (*path, key), (*new, key), left_out)
                for key, below in value.items()
                if (*path, key) not in left_out
            }
        if isinstance(value, list):
            kept = [at for at in range(len(value)) if (*path, at) not in left_out]
            return [
                self._copy_to(rest, value[at], (*path, at), (*new, now), left_out)
                for now, at in enumerate(kept)
            ]
        return value


def load_document(path: Path) -> Document:
    """Return the values of a YAML file; ConfigError when it cannot be read as one."""
    return parse_document(read_bytes(path), str(path))


def parse_document(content: bytes, file: str) -> Document:
    """Return the values of a YAML text; ConfigError when it cannot be read as one."""
    tree = compose_tree(decode_text(content, file), file)
    return _Builder(Document(file, problems=[*tree.problems])).build(tree.root)


class _Builder:
    """Turns the tree into plain values, noting where each stands."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems = document.problems
        self.nodes = 0

    def build(self, tree: Node) -> Document:
        """Return the document with its values filled in."""
        self.document.value = self.plain(tree, ())
        return self.document

    def plain(self, node: Node, path: KeyPath) -> object:
        """Return the value of a node. ConfigError when it stands for too many."""
        self.nodes += 1
        if self.nodes > NODES_MAX:
            message = f"stands for more than {NODES_MAX} values; write them without aliases"
            raise ConfigError([self.problem(node.place, path, message)])
        self.document.values[path] = node.place
        if isinstance(node, Scalar):
            return self.scalar(node, path)
        if isinstance(node, Sequence):
            return [self.plain(item, (*path, at)) for at, item in enumerate(node.items)]
        return self.mapping(node, path)

    def mapping(self, node: Mapping, path: KeyPath) -> dict[str, object]:
        """Return the value of a block whose keys are all different."""
        found: dict[str, object] = {}
        for key, child in node.pairs:
            below = (*path, key.text)
            if key.text in found:
                first = self.document.keys[below]
                message = f"written twice, first in line {first.line}; keep one"
                self.problems.append(self.problem(key.place, below, message))
                continue
            self.document.keys[below] = key.place
            found[key.text] = self.plain(child, below)
        return found

    def scalar(self, node: Scalar, path: KeyPath) -> object:
        """Return what a scalar means in YAML 1.2's core schema."""
        text = node.text
        if UNPRINTABLE.search(text):
            message = "contains a control character or half a character"
            self.problems.append(self.problem(node.place, path, message))
            text = UNPRINTABLE.sub("?", text)
        if not node.is_plain:
            return text
        if text.lower() in AMBIGUOUS:
            message = (
                f"{text} is a yes-or-no to some readers of YAML and text to others; "
                f'write true, false or "{text}"'
            )
            self.problems.append(self.problem(node.place, path, message))
        if text.lower() in WORDS and text in {text.lower(), text.upper(), text.title()}:
            return WORDS[text.lower()]
        if len(text) > NUMBER_CHARS_MAX:
            return text
        if INTEGER.fullmatch(text):
            return int(text)
        number = float(text) if FLOATING.fullmatch(text) else math.inf
        return number if math.isfinite(number) else text

    def problem(self, place: Place, path: KeyPath, message: str) -> Problem:
        """Return a problem at a place of this document."""
        return Problem(self.document.file, place.line, place.column, render_path(path), message)
