"""Where the recorded provider traffic is, and what stands in it.

The rule here: recordings are read, never written; cases of our own are files in tests/golden.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import Gateway, StartGateway

ROOT = Path(__file__).parents[2]
ABSENT = "no recordings: set GATEWAY_RECORDINGS to a directory that holds them"


@dataclass(frozen=True)
class Recording:
    """One recorded answer."""

    name: str
    host: str
    status: int
    body: bytes

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return self.name.endswith(".sse")

    @property
    def json(self) -> Any:
        """The body as one document."""
        return json.loads(self.body)


def find_recordings() -> Path | None:
    """Give the directory of recorded traffic, or None where there is none."""
    named = os.environ.get("GATEWAY_RECORDINGS")
    directory = Path(named) if named else ROOT.parent / "shared" / "recordings"
    return directory if directory.is_dir() else None


def read_recordings() -> list[Recording]:
    """Every recorded answer of the index; none where there is no directory."""
    directory = find_recordings()
    if directory is None:
        return []
    index = json.loads((directory / "INDEX.json").read_bytes())
    return [
        Recording(
            name=entry["file"],
            host=entry["uri"].split("/")[2],
            status=entry["status"],
            body=(directory / entry["file"]).read_bytes(),
        )
        for entry in index
    ]


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Give the directory of recorded streams, or skip."""
    directory = find_recordings()
    if directory is None:
        pytest.skip(ABSENT)
    return directory


@pytest.fixture
async def recorded_gateway(start_gateway: StartGateway, simulator: Simulator) -> Gateway:
    """A gateway that asks only once: what is looked at is the answer to that."""
    provider = {
        "base_url": simulator.base_url,
        "allow_private": True,
        "auth": {"required": False},
        "retries": 0,
        "breaker": {"enabled": False},  # a test may play many failures in a row
    }
    return await start_gateway(providers={"sim": provider}, settings={"auth": [ENTRY]})
