"""Where the recorded provider traffic is.

The rule here: recordings are read, never written; cases of our own are files in tests/golden.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Give the directory of recorded streams, or skip."""
    named = os.environ.get("GATEWAY_RECORDINGS")
    directory = Path(named) if named else ROOT.parent / "shared" / "recordings"
    if not directory.is_dir():
        pytest.skip("no recordings: set GATEWAY_RECORDINGS to a directory that holds them")
    return directory
