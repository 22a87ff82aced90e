"""A real llama.cpp server in a process of its own.

The rule here: it is started once for all tests, and asked by nobody else.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.plugins.programs import refuse

PROGRAM = Path(__file__).with_name("llamacpp_server.py")
STOP_S = 10


@dataclass(frozen=True)
class LlamaCpp:
    """A running server."""

    url: str  # without a slash at the end


@pytest.fixture(scope="session")
def llamacpp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCpp]:
    """Start the server, or skip where there is none for this platform."""
    for package in ("xllamacpp", "gguf"):
        if importlib.util.find_spec(package) is None:
            refuse("llamacpp", f"{package} is not installed: it has no wheel for every platform")
    directory = tmp_path_factory.mktemp("llamacpp")
    log = directory / "log"
    with log.open("wb") as errors:
        server = subprocess.Popen(
            [sys.executable, PROGRAM, directory / "model.gguf"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert server.stdin is not None
    assert server.stdout is not None
    with server:
        try:
            url = server.stdout.readline().strip()
            assert url, log.read_text(errors="replace")[-2000:]
            yield LlamaCpp(url)
        finally:
            server.stdin.close()  # which it takes for the end
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
