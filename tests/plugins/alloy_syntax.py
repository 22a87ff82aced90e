"""The syntax of Grafana Alloy's configuration: attributes and blocks, read into plain values.

The rule here: what the language has and our file does not use is a mistake here too.
"""

import json
import re
from typing import Any

TOKEN = re.compile(
    r'\s+|//[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*")|(?P<number>-?[0-9]+(?:\.[0-9]+)?)'
    r"|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)|(?P<sign>[{}\[\]=,])"
)
WORDS = {"true": True, "false": False, "null": None}

Body = dict[str, Any]


class AlloySyntaxError(Exception):
    """What cannot be read; the text says where."""


def parse_alloy(text: str) -> Body:
    """Read a configuration: attributes by name, blocks by `name` or `name "label"`."""
    reader = _Reader(text)
    body = reader.read_body()
    reader.expect_end()
    return body


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(text):
            found = TOKEN.match(text, at)
            if found is None:
                raise AlloySyntaxError(self._where(at, f"what is {text[at]!r}?"))
            if found.lastgroup is not None:
                self._tokens.append((found.lastgroup, found[0], at))
            at = found.end()
        self._tokens.append(("end", "", at))
        self._next = 0

    def read_body(self) -> Body:
        """Attributes and blocks, up to a closing brace or the end."""
        body: Body = {}
        while self._kind == "name":
            name = self._take("name")
            if self._sign == "=":
                self._take("sign")
                value: Any = self._read_value()
            else:
                if self._kind == "text":
                    name = f"{name} {self._take('text')}"
                self._take_sign("{")
                value = self.read_body()
                self._take_sign("}")
            if name in body:
                self._refuse(f"{name} stands there twice")
            body[name] = value
        return body

    def expect_end(self) -> None:
        """Nothing is left."""
        self._take("end")

    def _read_value(self) -> Any:
        if self._sign in {"{", "["}:
            return self._read_object() if self._sign == "{" else self._read_list()
        if self._kind == "text":
            return json.loads(self._take("text"))
        if self._kind == "number":
            return float(self._take("number"))
        name = self._take("name")
        return WORDS.get(name, name)

    def _read_list(self) -> list[Any]:
        self._take_sign("[")
        values = []
        while self._sign != "]":
            values.append(self._read_value())
            if self._sign != "]":
                self._take_sign(",")
        self._take_sign("]")
        return values

    def _read_object(self) -> Body:
        self._take_sign("{")
        values: Body = {}
        while self._sign != "}":
            name = self._take("text")[1:-1] if self._kind == "text" else self._take("name")
            self._take_sign("=")
            values[name] = self._read_value()
            if self._sign != "}":
                self._take_sign(",")
        self._take_sign("}")
        return values

    @property
    def _kind(self) -> str:
        return self._tokens[self._next][0]

    @property
    def _sign(self) -> str:
        kind, text, _ = self._tokens[self._next]
        return text if kind == "sign" else ""

    def _take(self, kind: str) -> str:
        if self._kind != kind:
            self._refuse(f"a {kind} should stand here")
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _take_sign(self, sign: str) -> None:
        if self._sign != sign:
            self._refuse(f"{sign} should stand here")
        self._next += 1

    def _refuse(self, reason: str) -> None:
        raise AlloySyntaxError(self._where(self._tokens[self._next][2], reason))

    def _where(self, at: int, reason: str) -> str:
        return f"line {self._text.count(chr(10), 0, at) + 1}: {reason}"
