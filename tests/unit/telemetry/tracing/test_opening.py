"""Tracing is opened where it is wanted, or the start is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.tracing import TracingSpec
from gateway.core.extras import line_that_installs
from gateway.telemetry.tracing.opening import TracingError, open_tracing

# Runs in a process of its own: what this one has imported is imported.
PROGRAM = """
import sys
from pathlib import Path
from gateway.app import build_app
from gateway.cli.serve import serve
from gateway.config.load import load_registry, load_settings
without, tracing, providers = map(Path, sys.argv[1:])
build_app(load_settings(without), load_registry(providers))
print([name for name in sys.modules if name.startswith(("opentelemetry", "google"))])
sys.modules["opentelemetry.proto"] = None  # as where the extra is not installed
sys.exit(serve(tracing, providers, {"server": {}, "admin": {}}))
"""


def test_without_tracing_nothing_is_imported_and_without_the_extra_the_start_is_refused(
    tmp_path: Path,
) -> None:
    """The extra is not needed where nobody wants it; where somebody does, they read the line."""
    files = [tmp_path / name for name in ("without.yaml", "tracing.yaml", "providers.yaml")]
    files[0].write_text("logging: {}\n")
    files[1].write_text("tracing: {}\nserver: {port: 0}\nadmin: {port: 0}\n")
    files[2].write_text("providers: {sim: {base_url: 'https://api.example.org/v1'}}\n")

    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ran.stdout.splitlines()[0] == "[]"
    assert line_that_installs("otel") in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 1


def test_authorities_that_are_none_are_refused(tmp_path: Path) -> None:
    """Later nobody would notice: spans would be dropped, and the gateway would go on."""
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN NOTHING-----")
    spec = TracingSpec(endpoint="https://collector.example.org", ca_file=file)

    with pytest.raises(TracingError, match="there is no certificate in it"):
        open_tracing(spec, providers=[], secrets=[])


def test_a_provider_that_is_none_is_refused() -> None:
    """A typo would keep the trace from the one that was meant, and nobody would notice."""
    spec = TracingSpec(propagate_to=("groq", "opnai"))

    with pytest.raises(TracingError, match="opnai, and there is no such provider; there are: groq"):
        open_tracing(spec, providers=["groq", "openai"], secrets=[])
