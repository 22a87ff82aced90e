"""Faults of the connection to a provider: refused, never taken, not trusted, closed, all in use.

The rule here: every failure has its own code within its own deadline, in both dialects, and leaves
other providers alone.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from gateway.simulator import Simulator
from tests.faults.conftest import OpenScene
from tests.plugins.raw_provider import RawProvider, read_request
from tests.plugins.scene import DONE, PATHS, Scene, at, error_of, eventually, header_of

SHORT_S = 0.15
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    % (len(EVENT) + len(DONE) + 2)
    + EVENT
    + DONE
    + b"\n\n"
)


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue is full: a connection attempt is neither taken nor refused."""
    with contextlib.ExitStack() as opened, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the standard library's own
            waiting.connect_ex(address)
        yield address[1]


@pytest.mark.parametrize("path", PATHS)
async def test_a_refused_connection_is_a_502(
    open_scene: OpenScene, closed_port: int, path: str
) -> None:
    """F01: nobody listens, and the caller is told at once."""
    scene = await open_scene(**at(closed_port))

    assert await scene.fail(path=path) == (502, "upstream_connect")


@pytest.mark.parametrize("path", PATHS)
async def test_a_name_of_an_address_that_is_not_public_is_a_502(
    open_scene: OpenScene, simulator: Simulator, path: str
) -> None:
    """F01: it is not called, and asking once more would change nothing."""
    port = int(simulator.base_url.rpartition(":")[2].partition("/")[0])
    entry = at(port, host=socket.gethostname())  # which /etc/hosts or the network knows
    scene = await open_scene(**entry, allow_private=False, retries=1)

    assert await scene.fail(path=path) == (502, "upstream_address_refused")
    assert (await scene.settled())["attempts"] == 1
    assert simulator.journal.count == 0


async def test_a_refused_connection_is_tried_again(open_scene: OpenScene, closed_port: int) -> None:
    """F01: a provider that restarts is back in a moment."""
    scene = await open_scene(**at(closed_port), retries=1)

    assert await scene.fail() == (502, "upstream_connect")
    assert (await scene.settled())["attempts"] == 2


@pytest.mark.parametrize("path", PATHS)
async def test_a_connection_that_is_never_taken_is_a_504(
    open_scene: OpenScene, full_port: int, path: str
) -> None:
    """F02: the kernel would try for two minutes."""
    scene = await open_scene(**at(full_port), timeouts={"connect_s": SHORT_S})

    async with scene.call(path=path) as caller:
        await scene.serve_bystander()
        heard = scene.note(await caller.read_to_end())

    assert error_of(heard) == (504, "upstream_connect_timeout")


async def test_a_caller_who_leaves_while_it_connects_leaves_nothing(
    open_scene: OpenScene, full_port: int
) -> None:
    """F02: half-open connections are sockets too."""
    scene = await open_scene(**at(full_port))

    async with scene.call():
        await scene.serve_bystander()

    line = await scene.settled()
    assert (line["outcome"], line["status"]) == ("client_gone", 499)


@pytest.mark.parametrize("host", ["nobody.invalid", "x" * 63 + ".invalid"])
async def test_a_name_without_an_address_is_a_502(open_scene: OpenScene, host: str) -> None:
    """F03: also while the name servers say nothing at all."""
    scene = await open_scene(**at(80, host=host), timeouts={"connect_s": 1})

    assert await scene.fail() == (502, "upstream_dns")


@contextlib.asynccontextmanager
async def tls_provider(authority: trustme.CA, name: str, **issue) -> AsyncIterator[Simulator]:
    """A provider behind TLS, with a certificate for this name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, **issue).configure_cert(context)
    async with Simulator(ssl_context=context) as provider:
        yield provider


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Somebody whom the gateway is told to trust."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """The `tls` of a provider's entry that trusts `authority`."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return {"ca_file": str(file)}


async def test_a_good_certificate_is_accepted(
    open_scene: OpenScene, authority: trustme.CA, tls: dict[str, str]
) -> None:
    """F04: the refusals below are about what is wrong with each."""
    async with tls_provider(authority, "127.0.0.1") as provider:
        scene = await open_scene(**at(provider.port, "https"), tls=tls)

        heard = await scene.ask("plain")

        assert DONE in heard.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("name", "issue"),
    [("192.0.2.1", {}), ("127.0.0.1", {"not_after": datetime(2021, 1, 1, tzinfo=UTC)})],
    ids=["another host", "expired"],
)
async def test_a_certificate_that_is_not_acceptable_is_a_502(
    open_scene: OpenScene,
    authority: trustme.CA,
    tls: dict[str, str],
    name: str,
    issue: dict,
    path: str,
) -> None:
    """F04: the credential is not shown to whoever answers in the provider's place."""
    if issue:
        issue = {**issue, "not_before": datetime(2020, 1, 1, tzinfo=UTC)}
    async with tls_provider(authority, name, **issue) as provider:
        scene = await open_scene(**at(provider.port, "https"), tls=tls)

        assert await scene.fail(path=path) == (502, "upstream_tls")
        assert provider.journal.count == 0


async def test_an_authority_that_nobody_named_is_not_trusted(
    open_scene: OpenScene, tls: dict[str, str]
) -> None:
    """F04: anybody can sign a certificate."""
    async with tls_provider(trustme.CA(), "127.0.0.1") as provider:
        scene = await open_scene(**at(provider.port, "https"), tls=tls)

        assert await scene.fail() == (502, "upstream_tls")


async def test_a_handshake_that_stalls_has_a_deadline(open_scene: OpenScene) -> None:
    """F04: a connection that was taken and then forgotten."""

    async def stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.Event().wait()

    async with RawProvider(stall) as provider:
        scene = await open_scene(**at(provider.port, "https"), timeouts={"tls_s": SHORT_S})

        assert await scene.fail() == (502, "upstream_tls")


async def test_the_whole_deadline_holds_while_it_connects(open_scene: OpenScene) -> None:
    """F04: whoever sets `total_s` waits no longer, whatever a connection may take by itself."""

    async def stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.Event().wait()

    async with RawProvider(stall) as provider:
        scene = await open_scene(**at(provider.port, "https"), timeouts={"total_s": SHORT_S})

        assert await scene.fail() == (504, "upstream_total_timeout")


async def test_a_provider_that_speaks_no_tls_is_a_502(
    open_scene: OpenScene, simulator: Simulator
) -> None:
    """F04: `https` in the registry is never quietly `http`."""
    scene = await open_scene(**at(simulator.port, "https"))

    assert await scene.fail() == (502, "upstream_tls")
    assert simulator.journal.count == 0


@pytest.mark.parametrize("by", ["fin", "rst"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_fresh_connection_that_closes_unanswered_is_a_502(
    scene: Scene, path: str, by: str
) -> None:
    """F09: asked once; whether the request was served there, nobody knows."""
    refusal = await scene.fail({"cut": {"at": "before_head", "by": by}}, path)

    assert refusal == (502, "upstream_connect")
    assert scene.upstream_requests == 1


@pytest.mark.parametrize("path", PATHS)
async def test_a_reused_connection_that_closes_unanswered_is_replaced(
    open_scene: OpenScene, path: str
) -> None:
    """F09: providers close idle connections just as they are used; no caller need know."""
    seen: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(seen)
        seen.append(0)
        while True:
            await read_request(reader)
            seen[number] += 1
            if seen[number] > 1:  # the second request on any connection meets its end
                return
            writer.write(STREAM)

    async with RawProvider(serve) as provider:
        scene = await open_scene(**at(provider.port))

        heard = [await scene.ask(path=path) for _ in range(3)]

    assert [one.status for one in heard] == [200, 200, 200]
    assert seen == [2, 2, 1]
    assert {line["attempts"] for line in await scene.gateway.log.wait_for_settled(3)} == {1}


async def test_a_provider_that_is_full_answers_so_and_others_are_served(
    open_scene: OpenScene,
) -> None:
    """F19: nobody waits in a queue for a provider that is stuck, and nobody else pays for it."""
    scene = await open_scene(max_connections=2)
    stall = {"count": 2, "stall": {"after_tokens": 1}}

    async with scene.call(stall) as first, scene.call(stall) as second:
        await first.read_until(b"word0")
        await second.read_until(b"word0")
        heard = await scene.ask("plain")
        await scene.serve_bystander()

    assert error_of(heard) == (503, "provider_busy")
    assert 1 <= int(header_of(heard, "retry-after") or 0) <= 4
    await scene.settled(3)


async def test_an_idle_connection_is_not_kept_for_ever(
    open_scene: OpenScene, simulator: Simulator
) -> None:
    """F20: a provider that moves is followed when the next connection asks for its address."""
    scene = await open_scene(timeouts={"keep_alive_s": 0.05})

    await scene.ask("plain")
    await simulator.journal.last.done.wait()
    await eventually(lambda: not simulator.open_connections, "nobody is connected")
    await scene.ask("plain")

    assert simulator.connections_opened == 2
