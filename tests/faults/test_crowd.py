"""A crowd that leaves at once: each of its members is settled, and nobody else waits for that.

The rule here: who waits is somebody outside, with a connection that was open before.
"""

import json
import socket
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Self

import pytest

from gateway.simulator import Simulator
from tests.plugins.gateway_process import gateway_process
from tests.plugins.open_files import need_files
from tests.plugins.raw_caller import Caller
from tests.plugins.scene import AUTH, V1, body_of, eventually, raw_request

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the process is looked at in /proc"
)

CROWD = 3_000
GROUP = 250  # who begin together
LEAST_ANSWERS = 5  # to whoever waits outside, while the crowd is seen off
FOREVER = {"count": 3, "stall": {"after_tokens": 2}}  # two tokens, then silence
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: admin\r\n\r\n"


async def test_a_crowd_that_leaves_at_once_is_settled_and_holds_nobody_up(
    tmp_path: Path, simulator: Simulator
) -> None:
    """A16: 3,000 of the row's 10,000, which would need 20,000 files here and 15 s to begin.

    In one turn of the loop they took 0.23 s, in which nobody else was answered. How long an answer
    takes is the machine's; how many come meanwhile is ours.
    """
    need_files(2 * CROWD + 1_000)
    entry = {"base_url": simulator.base_url, "allow_private": True}
    async with gateway_process(tmp_path, {"sim": entry}, {"auth": AUTH}) as gateway:
        crowd = [caller for _ in range(0, CROWD, GROUP) for caller in await begin(gateway.port)]
        files = gateway.open_files
        with Prober(gateway.admin_port) as prober:
            for caller in crowd:
                caller.hang_up()
            lines = await gateway.wait_for_settled(CROWD)
        await eventually(lambda: simulator.journal.open == 0, "the provider was left by all")
        await eventually(lambda: gateway.open_files < files - 2 * CROWD + GROUP, "files are closed")

    assert len(lines) == len({line["request_id"] for line in lines}) == CROWD
    assert {line["outcome"] for line in lines} == {"client_gone"}
    settled_at = sorted(datetime.fromisoformat(line["timestamp"]).timestamp() for line in lines)
    meanwhile = [at for at in prober.answered_at if settled_at[0] <= at <= settled_at[-1]]
    assert len(meanwhile) >= LEAST_ANSWERS


async def begin(port: int) -> list[Caller]:
    """Streams that have begun."""
    body = json.dumps(body_of(V1, FOREVER)).encode()
    asked = raw_request(f"POST {V1} HTTP/1.1", f"Content-Length: {len(body)}", body=body)
    callers = [await Caller(port).__aenter__() for _ in range(GROUP)]
    for caller in callers:
        await caller.send(asked)
    for caller in callers:
        await caller.read_until(b"word1")
    return callers


class Prober(threading.Thread):
    """Asks for the health over and over, in a thread: this process has work of its own."""

    def __init__(self, port: int) -> None:
        super().__init__(name="prober")
        self.answered_at: list[float] = []
        self._is_over = threading.Event()
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join()
        self._connection.close()

    def run(self) -> None:
        """Note when each answer came."""
        while not self._is_over.is_set():
            self._connection.sendall(HEALTH)
            assert self._connection.recv(65_536).startswith(b"HTTP/1.1 200 OK")
            self.answered_at.append(time.time())
