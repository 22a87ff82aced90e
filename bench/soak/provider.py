"""The provider's process: the simulator, which writes a line for each answer that is over.

The rule here: started by the soak, it says its port in one line and runs until it is ended.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import TextIO

import uvloop
from typing_extensions import override

from gateway.simulator import Journal, Served, Simulator


class WrittenJournal(Journal):
    """A journal that keeps nothing and forgets nothing: it is a file."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(limit=1)
        self._file = file

    @override
    def end(self, served: Served) -> None:
        super().end(served)
        name = json.loads(served.body)["messages"][-1]["content"] if served.body else ""
        line = {
            "name": name,
            "status": served.status,
            "tokens": served.content_tokens_sent,
            "finished": served.finished,
            "left": served.peer_left_s is not None,
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


async def serve(path: Path) -> None:
    """Serve on a free port until cancelled."""
    with path.open("w") as file:
        async with Simulator() as simulator:
            simulator.journal = WrittenJournal(file)
            print(json.dumps({"port": simulator.port}), flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
