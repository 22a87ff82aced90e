"""Tracing is opened where it is wanted, or the start is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.tracing import TracingSpec
from gateway.telemetry.tracing.opening import TracingError, open_tracing

# Runs in a process of its own: what this one has imported is imported.
WITHOUT_EXTRA = """
import sys
sys.modules["opentelemetry.proto"] = None  # as where the extra is not installed
from gateway.cli.serve import serve
from pathlib import Path
code = serve(Path(sys.argv[1]), Path(sys.argv[2]), {"server": {}, "admin": {}})
print([name for name in sys.modules if name.startswith(("opentelemetry.proto.", "google."))])
sys.exit(code)
"""
IMPORTED = """
import sys
from pathlib import Path
from gateway.app import build_app
from gateway.config.load import load_registry, load_settings
app = build_app(load_settings(Path(sys.argv[1])), load_registry(Path(sys.argv[2])))
print([name for name in sys.modules if name.startswith(("opentelemetry", "google"))])
"""


def run(tmp_path: Path, program: str, settings: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, with two files."""
    files = [tmp_path / "gateway.yaml", tmp_path / "providers.yaml"]
    files[0].write_text(settings)
    files[1].write_text("providers: {sim: {base_url: 'https://api.example.org/v1'}}\n")
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_without_tracing_nothing_of_it_is_imported(tmp_path: Path) -> None:
    """The extra is not installed where nobody wants it, and a start takes no longer."""
    ran = run(tmp_path, IMPORTED, "logging: {}\n")

    assert (ran.stdout, ran.returncode) == ("[]\n", 0), ran.stderr


def test_without_the_extra_the_start_is_refused(tmp_path: Path) -> None:
    """With the line to run."""
    ran = run(tmp_path, WITHOUT_EXTRA, "tracing: {}\nserver: {port: 0}\nadmin: {port: 0}\n")

    assert "pip install 'chat-gateway[otel]'" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 1


def test_a_provider_that_is_none_is_refused() -> None:
    """A typo would keep the trace from the one that was meant, and nobody would notice."""
    spec = TracingSpec(propagate_to=("groq", "opnai"))

    with pytest.raises(TracingError, match="opnai, and there is no such provider; there are: groq"):
        open_tracing(spec, providers=["groq", "openai"], secrets=[])
