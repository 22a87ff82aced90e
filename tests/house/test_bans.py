"""What the gateway never calls, where ruff has no rule for it.

The rule here: each ban names what went wrong elsewhere.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import name_of, nodes_of, python_files

# Most of aiohttp's security fixes are in parts that a relay does not need.
ATTRIBUTES = {
    "add_static": "serves files: path traversal (CVE-2024-23334)",
    "static": "serves files: path traversal (CVE-2024-23334)",
    "WebSocketResponse": "websocket frames: memory (CVE-2026-54274)",
    "ws_connect": "websocket frames: memory (CVE-2026-54274)",
    "multipart": "multipart bodies: endless loop (CVE-2024-30251)",
    "post": "form bodies are multipart's other door; JSON is read by wire",
    "set_cookie": "the gateway never needs a cookie",
    "CookieJar": "a shared jar carries one tenant's cookies to the next",
    "_payload_writer": "aiohttp's inside: public API only",
    "_task_handler": "aiohttp's inside: public API only",
}
# (argument, value): what turns a safeguard off.
ARGUMENTS = {
    ("allow_redirects", True): "a redirect takes the prompt and the credential to another host",
    ("trust_env", True): "a proxy from the environment sees every prompt",
    ("ssl", False): "TLS without verification",
    ("verify", False): "TLS without verification",
    ("auto_decompress", True): "a bomb of 300 KB becomes 300 MB",
}


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """Every banned thing in a file, with its line."""
    for node in nodes_of(path):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in ATTRIBUTES:
                yield node.lineno, name
            case ast.Call(keywords=keywords):
                for keyword in keywords:
                    value = getattr(keyword.value, "value", None)
                    if isinstance(value, bool) and (keyword.arg, value) in ARGUMENTS:
                        yield node.lineno, f"{keyword.arg}={value}"
            case _:
                pass


@pytest.mark.parametrize("top", ["gateway", "plugins"])
def test_nothing_dangerous_is_called(top: str) -> None:
    """What is not used cannot have a hole in it."""
    found = [
        f"{name_of(path)}:{line} {what}" for path in python_files(top) for line, what in calls(path)
    ]

    assert found == []


# What is different each time it is asked for. Of a parameter it becomes part of the test's name,
# and two processes that collect in two seconds do not have the same tests.
UNSTEADY = {
    "time.time",
    "time.monotonic",
    "datetime.now",
    "uuid.uuid4",
    "secrets.token_hex",
    "make_key",
}
STAMPED = "gzip.compress"  # writes the time, unless `mtime` says another


def unsteady_parameters(path: Path) -> Iterator[str]:
    """Every such call in the decorators of a file."""
    for function in nodes_of(path):
        for decorator in getattr(function, "decorator_list", ()):
            for node in ast.walk(decorator):
                if not isinstance(node, ast.Call):
                    continue
                called = ast.unparse(node.func)
                is_stamped = called == STAMPED and all(k.arg != "mtime" for k in node.keywords)
                if is_stamped or called in UNSTEADY:
                    yield f"{name_of(path)}:{node.lineno} {called}"


def test_a_test_has_the_same_name_in_every_process() -> None:
    """Where the processes disagree, none of the suite is run."""
    found = [what for path in python_files("tests") for what in unsteady_parameters(path)]

    assert found == []
