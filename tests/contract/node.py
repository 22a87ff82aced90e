"""Node programs beside the loop that the gateway runs on.

The rule here: a program is started, may be spoken to, and must end by itself without a complaint.
"""

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

NODE_TESTS = Path(__file__).parents[1] / "node"
TIMEOUT_S = 20


async def start(node: Path, program: str | Path, *arguments: str) -> Process:
    """Start one of the programs in tests/node, or one at an absolute path."""
    return await asyncio.create_subprocess_exec(
        node, NODE_TESTS / program, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def finish(process: Process) -> Any:
    """What it printed, once it has ended by itself."""
    async with asyncio.timeout(TIMEOUT_S):
        printed, complaints = await process.communicate()
    assert (process.returncode, complaints.decode()) == (0, "")
    return json.loads(printed)
