"""Faults of the network itself, done by the kernel between two network namespaces.

The rule here: the gateway is a process of its own at the near end of a cable; whoever the row is
about is at the far end, and everybody else beside the gateway.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.server.sockets import UNACKNOWLEDGED_MS
from gateway.simulator import Simulator
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.namespaces import NEAR, Cable, Namespace
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import AUTH, DONE, PATHS, V1, body_of, error_of, eventually, raw_request

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
LARGE_BYTES = 16_000_000  # more than all buffers hold
LARGE = {"count": 4000, "template": "x" * (LARGE_BYTES // 4000)}
SHORT_S = 0.4
# 48 % of five packets in six are 40 % of all. Without the sixth a packet may be lost nine times in
# a row, and the wait doubles each time. The handshake is spared: its first wait is a second.
LOSS = "tcp flags & syn == 0 numgen inc mod 6 < 5 numgen random mod 100 < 48"


@asynccontextmanager
async def simulator_at(place: Namespace) -> AsyncIterator[Simulator]:
    """A provider in a namespace."""
    simulator = Simulator()
    with place.entered():  # an address needs no look-up, and so no other thread
        await simulator.start(place.address)
    try:
        yield simulator
    finally:
        await simulator.stop()


@asynccontextmanager
async def gateway_at(
    place: Namespace, directory: Path, timeouts: dict[str, float], **providers: Simulator
) -> AsyncIterator[GatewayProcess]:
    """A gateway in a namespace, for callers in both."""
    usual = {"allow_private": True, "retries": 0, "timeouts": timeouts}
    entries = {name: {"base_url": one.base_url, **usual} for name, one in providers.items()}
    settings = {"auth": AUTH, "server": {"host": place.address, "drain_s": SHORT_S}}
    async with gateway_process(directory, entries, settings, command=place.command) as gateway:
        yield gateway


@asynccontextmanager
async def asking(
    gateway: GatewayProcess,
    place: Namespace,
    directive: object = None,
    path: str = V1,
    **fields: Any,
) -> AsyncIterator[Caller]:
    """Somebody in a namespace who has sent a request."""
    with place.entered():
        caller = Caller(gateway.port, host=NEAR)
    body = json.dumps(body_of(path, directive, **fields)).encode()
    length = f"Content-Length: {len(body)}"
    async with caller:
        await caller.send(
            raw_request(f"POST {path} HTTP/1.1", length, "Connection: close", body=body)
        )
        yield caller


async def ask(gateway: GatewayProcess, place: Namespace, *what: Any, **fields: Any) -> Heard:
    """The whole answer to somebody in a namespace."""
    async with asking(gateway, place, *what, **fields) as caller:
        return await caller.read_to_end()


async def test_a_link_that_goes_down_in_a_busy_stream_ends_it(cable: Cable, tmp_path: Path) -> None:
    """A08: neither a FIN nor a reset comes; that nothing is taken any more is all there is."""
    busy = {**LARGE, "gap_s": 0.001}
    async with (
        simulator_at(cable.near) as simulator,
        gateway_at(cable.near, tmp_path, {"write_stall_s": SHORT_S}, sim=simulator) as gateway,
        asyncio.TaskGroup() as group,
    ):
        before = gateway.open_files
        async with asking(gateway, cable.far, busy) as caller:
            await caller.read_until(b"data: ")
            reading = group.create_task(caller.read_to_end())
            cable.cut()
            await simulator.journal.wait_for(lambda one: one.peer_left.is_set())
            await gateway.wait_for_settled(1)
            await eventually(lambda: gateway.open_files <= before, "no file is left")
            reading.cancel()

    (line,) = gateway.settled
    assert (line["outcome"], line["error_code"]) == ("client_gone", "client_stalled")


@pytest.mark.parametrize(
    "directive",
    [{"count": 1000, "gap_s": 0.1}, {"count": 3, "stall": {"after_tokens": 2}}],
    ids=["unacknowledged", "silent"],
)
async def test_a_link_that_goes_down_in_a_quiet_stream_ends_it(
    cable: Cable, tmp_path: Path, directive: object
) -> None:
    """A08: what comes fits into the kernel's buffer, so only the kernel can tell."""
    async with (
        simulator_at(cable.near) as simulator,
        gateway_at(cable.near, tmp_path, {}, sim=simulator) as gateway,
    ):
        before = gateway.open_files
        async with asking(gateway, cable.far, directive) as caller:
            await caller.read_until(b"word1")
            shorten_the_wait(gateway, caller)
            cable.cut()
            await simulator.journal.wait_for(lambda one: one.peer_left.is_set())
            await gateway.wait_for_settled(1)
            await eventually(lambda: gateway.open_files <= before, "no file is left")

    (line,) = gateway.settled
    assert (line["outcome"], line["error_code"]) == ("client_gone", None)


def shorten_the_wait(gateway: GatewayProcess, caller: Caller) -> None:
    """Make of the minute that the gateway gives a dead connection a second or two."""
    with gateway.borrow_socket(caller.address) as connection:
        waits_ms = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert waits_ms == UNACKNOWLEDGED_MS
        for option, value in (("USER_TIMEOUT", 500), ("KEEPIDLE", 1), ("KEEPINTVL", 1)):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{option}"), value)


async def test_a_line_that_loses_two_packets_of_five_loses_no_byte(
    cable: Cable, tmp_path: Path
) -> None:
    """A13: it takes longer, and that is all."""
    async with (
        simulator_at(cable.near) as simulator,
        gateway_at(cable.near, tmp_path, {}, sim=simulator) as gateway,
    ):
        cable.far.filter(f"{LOSS} counter name met drop")
        usage = {"stream_options": {"include_usage": True}}
        heard = await ask(gateway, cable.far, {"count": 1000}, **usage)
        lost = cable.far.met_packets

    (line,) = gateway.settled
    assert lost > 40  # of some two hundred
    assert heard.is_whole
    assert heard.body == simulator.journal.last.body_sent
    assert line["outcome"] == "finished"


async def test_a_caller_on_a_thin_line_costs_little_and_slows_nobody(
    cable: Cable, tmp_path: Path
) -> None:
    """A14: the provider has sixteen megabytes ready; eight kilobytes a second can leave."""
    async with (
        simulator_at(cable.near) as simulator,
        gateway_at(cable.near, tmp_path, {}, sim=simulator) as gateway,
    ):
        cable.narrow(kbit_per_s=64)
        await ask(gateway, cable.near, LARGE)
        before = gateway.forget_peak()
        async with asking(gateway, cable.far, LARGE) as caller:
            await caller.read_until(b"data: ")
            served = simulator.journal.last
            while len(caller.raw) < 8 * KIBIBYTE:
                await caller.read_some()
                async with asyncio.timeout(5):  # on the thin line these 180 KB would take 22 s
                    beside = await ask(gateway, cable.near, {"count": 1000})
                assert DONE in beside.body
            grown = gateway.peak_bytes - before
            assert {line["outcome"] for line in gateway.settled} == {"finished"}
            sent_bytes = served.body_bytes_sent

    assert grown < 2 * MEBIBYTE  # measured: 0.6, buffers of this one stream and of those beside it
    assert sent_bytes < LARGE_BYTES / 2  # with what the provider's own kernel takes: 4 MiB


async def test_a_caller_who_is_slow_is_not_taken_for_one_who_stopped_reading(
    cable: Cable, tmp_path: Path
) -> None:
    """A14: what is buffered takes a second to leave, which is longer than anybody may stall."""
    async with (
        simulator_at(cable.near) as simulator,
        gateway_at(cable.near, tmp_path, {"write_stall_s": SHORT_S}, sim=simulator) as gateway,
    ):
        cable.narrow(kbit_per_s=2000)
        async with asking(gateway, cable.far, LARGE) as caller:
            while len(caller.raw) < 384 * KIBIBYTE:
                assert await caller.read_some(), gateway.settled

    (line,) = gateway.settled
    assert (line["outcome"], line["error_code"]) == ("client_gone", None)  # who left by themselves


@pytest.mark.parametrize("path", PATHS)
async def test_a_provider_whose_machine_refuses_is_a_502_at_once(
    cable: Cable, tmp_path: Path, path: str
) -> None:
    """F01: a firewall says no; once it does not, the provider is there again."""
    async with (
        simulator_at(cable.far) as simulator,
        simulator_at(cable.near) as other,
        gateway_at(cable.near, tmp_path, {}, sim=simulator, other=other) as gateway,
    ):
        cable.far.filter(f"tcp dport {simulator.port} counter name met reject with tcp reset")
        async with asyncio.timeout(4):  # a connection that nobody refuses is given up after 5 s
            heard = await ask(gateway, cable.near, None, path)
        beside = await ask(gateway, cable.near, model="other/m")
        refused = cable.far.met_packets
        cable.far.filter_no_more()
        after = await ask(gateway, cable.near, None, path)

    assert refused == 1
    assert error_of(heard) == (502, "upstream_connect")
    assert [(one.status, one.is_whole) for one in (beside, after)] == [(200, True)] * 2
    assert codes_of(gateway) == ["upstream_connect", None, None]


@pytest.mark.parametrize("path", PATHS)
async def test_a_provider_whose_network_swallows_everything_is_a_504_at_the_deadline(
    cable: Cable, tmp_path: Path, path: str
) -> None:
    """F02: nothing says no; the kernel would go on asking for two minutes."""
    loop = asyncio.get_running_loop()
    deadline = {"connect_s": SHORT_S}
    async with (
        simulator_at(cable.far) as simulator,
        simulator_at(cable.near) as other,
        gateway_at(cable.near, tmp_path, deadline, sim=simulator, other=other) as gateway,
    ):
        await ask(gateway, cable.near, model="other/m")
        before = gateway.open_files
        cable.far.filter(f"tcp dport {simulator.port} counter name met drop")
        asked_at = loop.time()
        async with asking(gateway, cable.near, None, path) as caller:
            beside = await ask(gateway, cable.near, model="other/m")
            heard = await caller.read_to_end()
        waited_s = loop.time() - asked_at
        await eventually(lambda: gateway.open_files <= before, "no file is left")
        swallowed = cable.far.met_packets
        cable.far.filter_no_more()
        after = await ask(gateway, cable.near, None, path)

    assert swallowed >= 1
    assert error_of(heard) == (504, "upstream_connect_timeout")
    assert SHORT_S <= waited_s < SHORT_S + 1
    assert [(one.status, one.is_whole) for one in (beside, after)] == [(200, True)] * 2
    assert codes_of(gateway) == [None, None, "upstream_connect_timeout", None]


def codes_of(gateway: GatewayProcess) -> list[str | None]:
    """How each exchange ended: its error's code, in the order in which they ended."""
    return [line["error_code"] for line in gateway.settled]
