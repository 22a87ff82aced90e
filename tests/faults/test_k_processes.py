"""Group K, the process: how it ends under load, and what others on the machine see of it.

The rule here: the gateway is a process of its own, and its end is its own doing.
"""

import asyncio
import json
import resource
import socket
import sys
from collections import Counter
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.ledgers import read_books
from tests.plugins.open_files import need_files
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.raw_provider import RawProvider, read_request
from tests.plugins.scene import AUTH, CHAT, V1, body_of, header_of, raw_request
from tests.plugins.stepped_provider import DONE, END, FINISH, HEAD, chunk_of, event_of

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are read from /proc"
)

EACH = 50  # of four sorts: 200 streams
ENDING, ENDLESS = "ending", "endless"


class HalfWay:
    """Sends the beginning of every stream, and the rest of some when it is told."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        asked = await read_request(reader)
        writer.write(HEAD + chunk_of(event_of(role="assistant", content="word1")))
        if ENDING.encode() in asked:
            await self.goes_on.wait()
            writer.write(chunk_of(FINISH) + chunk_of(DONE) + END)
        await reader.read()  # until it is hung up on


async def begin(gateway: GatewayProcess, stack: AsyncExitStack, path: str, what: str) -> Caller:
    """Ask for a stream."""
    caller = await stack.enter_async_context(Caller(gateway.port))
    body = json.dumps(body_of(path, what)).encode()
    await caller.send(
        raw_request(f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", body=body)
    )
    return caller


async def test_sigterm_ends_what_ends_and_then_the_rest(tmp_path: Path) -> None:
    """K01, K08, K12: unready at once, nobody new; half are finished and half told why not."""
    need_files(1000)
    half_way = HalfWay()
    async with (
        RawProvider(half_way.serve) as upstream,
        running_gateway(tmp_path, upstream.port) as gateway,
    ):
        async with AsyncExitStack() as stack:
            sorts = {
                (path, what is ENDING): [
                    await begin(gateway, stack, path, what) for _ in range(EACH)
                ]
                for path in (V1, CHAT)
                for what in (ENDING, ENDLESS)
            }
            begun = {
                caller: await caller.read_until(b"word1")
                for callers in sorts.values()
                for caller in callers
            }
            check_dumps(gateway.pid)
            gateway.tell_to_stop()
            line = await gateway.wait_for_line("gateway.draining")
            unready = await gateway.fetch("/readyz")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", gateway.port))
            half_way.goes_on.set()
            finished = [
                await read_rest(one, begun) for path in (V1, CHAT) for one in sorts[path, True]
            ]
            assert len(gateway.settled) < 4 * EACH
            gateway.tell_to_stop()  # the second one: the rest of a minute is not waited for
            told = [await read_rest(caller, begun) for caller in sorts[V1, False]]
            cut = [await read_rest(caller, begun) for caller in sorts[CHAT, False]]
        code = await gateway.wait_for_end()

    assert line["in_flight"] == 4 * EACH
    assert (unready.status, unready.json["status"]) == (503, "draining")
    assert all(heard.is_whole for heard in finished)
    for heard in told:
        event = heard.body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
        assert json.loads(event.removeprefix(b"data: "))["error"]["code"] == "server_shutdown"
    assert not any(heard.is_whole for heard in cut)
    assert code == 0
    await check_books(tmp_path, gateway, {header_of(one, "x-request-id") for one in finished})


def running_gateway(
    directory: Path, upstream_port: int
) -> AbstractAsyncContextManager[GatewayProcess]:
    """Run a gateway that waits for a minute when it is told to end."""
    base_url = f"http://127.0.0.1:{upstream_port}/v1"
    provider = {"base_url": base_url, "allow_private": True, "retries": 0}
    settings = {
        "auth": AUTH,
        "ledger": {},
        "server": {"drain_s": 60},
        # It leaves a task behind for each request, which must not keep it from ending (K08).
        "middleware": [{"use": "tests.plugins.saboteurs:leave_a_task", "after": "authenticate"}],
        "overload": {"enabled": False},  # a machine that does much else turns nobody away
    }
    return gateway_process(directory, {"sim": provider}, settings)


def check_dumps(pid: int) -> None:
    """Assert that a crash leaves nothing of the memory behind (K12)."""
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
    assert int(Path(f"/proc/{pid}/coredump_filter").read_text(), 16) == 0


async def read_rest(caller: Caller, begun: dict[Caller, bytes]) -> Heard:
    """All of an answer of which the beginning was read, up to the end of its connection."""
    return Heard(begun[caller] + (await caller.read_to_end()).raw)


async def check_books(directory: Path, gateway: GatewayProcess, finished: set[str | None]) -> None:
    """Assert that every stream is logged and booked once, and nothing is left in the journal."""
    rows = await read_books(f"sqlite:///{directory / 'gateway.db'}")
    endings = {row["request_id"]: (row["outcome"], row["error_code"]) for row in rows}

    assert len(rows) == len(endings) == len(gateway.settled) == 4 * EACH
    assert {one["request_id"] for one in gateway.settled} == endings.keys()
    assert Counter(endings.values()) == {
        ("finished", ""): 2 * EACH,
        ("policy_stopped", "server_shutdown"): 2 * EACH,
    }
    assert {one for one, (outcome, _) in endings.items() if outcome == "finished"} == finished
    assert list((directory / "gateway.journal").iterdir()) == []
