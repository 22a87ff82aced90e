"""A gateway that listens on a socket of this machine, behind each reverse proxy.

The rule here: a peer on that socket is a proxy, and so anybody, until gateway.yaml says more.
"""

from pathlib import Path

import pytest

from gateway.simulator import Simulator
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.gateway_process import gateway_process
from tests.plugins.proxies.row import (
    BODIES,
    CHAT,
    NAMES,
    V1,
    entry_of,
    only_linux,
    send,
)
from tests.plugins.proxies.running import Proxies, Proxy
from tests.plugins.raw_caller import Caller, Heard, request_bytes
from tests.plugins.scene import AUTH, AUTHORIZATION, GATEWAY_KEY, error_of, raw_request
from tests.plugins.stepped_provider import SteppedProvider, event_of

pytestmark = only_linux()

PLACE = 40
LEFT_S = 2.0
GET = raw_request("GET /v1/models HTTP/1.1", "Connection: close")


@pytest.fixture
def socket_path(proxies: Proxies) -> str:
    """One that the proxies' own users can reach, and that is short enough."""
    return str(proxies.directory / "gateway.sock")


@pytest.fixture(params=NAMES)
def proxy(proxies: Proxies, socket_path: str, request: pytest.FixtureRequest) -> Proxy:
    """Each proxy in front of the socket."""
    return proxies.start(request.param, PLACE + NAMES.index(request.param), socket_path)


async def open_behind(
    start_gateway: StartGateway, base_url: str, socket_path: str, **settings: object
) -> Gateway:
    """A gateway on the socket; Apache's and HAProxy's users are others than the gateway's."""
    server = {"unix_socket": socket_path, "unix_socket_mode": "0666"}
    gateway = await start_gateway(
        providers={"sim": entry_of(base_url)},
        settings={"server": {**server, **settings.pop("server", {})}, **settings},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    gateway.secrets.append(GATEWAY_KEY)
    return gateway


@pytest.mark.parametrize("trusts", [True, False], ids=["trusted", "default"])
async def test_who_called_is_believed_where_that_is_said(
    start_gateway: StartGateway,
    simulator: Simulator,
    proxy: Proxy,
    socket_path: str,
    *,
    trusts: bool,
) -> None:
    """D06: a socket has no address, so nothing but `unix` can stand for its peers."""
    trusted = {"trusted_proxies": ["unix"] if trusts else ["127.0.0.1/32"]}
    gateway = await open_behind(
        start_gateway, simulator.base_url, socket_path, auth=AUTH, server=trusted
    )

    heard = await send(proxy, GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"))

    assert heard.status == 200
    assert gateway.log.settled[0]["client"] == ("127.0.0.1" if trusts else "unix")


async def test_without_auth_nobody_is_let_in(
    start_gateway: StartGateway, simulator: Simulator, socket_path: str
) -> None:
    """Not even who sends nothing that a proxy would add: it may be one that hides itself."""
    await open_behind(start_gateway, simulator.base_url, socket_path)

    answers = [
        await ask(socket_path, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        await ask(socket_path, b"GET /v1/models HTTP/1.0\r\nHost: localhost\r\n\r\n"),
    ]

    assert [error_of(heard) for heard in answers] == [
        (401, "unauthenticated"),
        (400, "malformed_request"),  # a reset cannot show such a caller that an answer is cut
    ]


async def test_what_is_no_request_came_from_somewhere_too(
    start_gateway: StartGateway, simulator: Simulator, socket_path: str
) -> None:
    """The line of the log calls the peer what every other line calls it."""
    gateway = await open_behind(start_gateway, simulator.base_url, socket_path, auth=AUTH)

    await ask(socket_path, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")

    (line,) = [line for line in gateway.log.lines if line["event"] == "request.malformed"]
    assert line["client"] == "unix"


def is_there(socket_path: str) -> bool:
    """Whether a proxy would find something."""
    return Path(socket_path).exists()


async def ask(socket_path: str, raw: bytes) -> Heard:
    """One answer from the gateway itself."""
    async with Caller.at(socket_path) as caller:
        await caller.send(raw)
        return await caller.read_answer()


@pytest.mark.parametrize("path", [V1, CHAT], ids=["v1", "chat"])
async def test_a_cut_stream_stays_cut(
    start_gateway: StartGateway, proxy: Proxy, socket_path: str, path: str
) -> None:
    """A socket knows no reset: the framing alone says that an answer is not whole."""
    async with SteppedProvider() as provider:
        gateway = await open_behind(start_gateway, provider.base_url, socket_path, auth=AUTH)
        async with Caller(proxy.port, host=proxy.host) as caller:
            headers = ("Connection: close", AUTHORIZATION)
            await caller.send(request_bytes(path, BODIES[path], headers=headers))
            await provider.open_stream()
            await provider.send(event_of(content="One"))
            await caller.read_until(b"One")
            await provider.cut()
            rest = await caller.read_to_end()

    assert rest.raw.endswith(b"0\r\n\r\n") == proxy.hides_cuts
    assert (await gateway.log.wait_for_settled())[0]["outcome"] == "upstream_failed"


async def test_a_gateway_that_drains_takes_its_socket_away(
    start_gateway: StartGateway, simulator: Simulator, socket_path: str
) -> None:
    """K01: a proxy in front of two asks the other one from the first moment on."""
    gateway = await open_behind(start_gateway, simulator.base_url, socket_path, auth=AUTH)
    assert is_there(socket_path)

    await gateway.service.drain()

    assert not is_there(socket_path)


async def test_several_workers_share_the_socket(
    tmp_path: Path, simulator: Simulator, socket_path: str
) -> None:
    """K02: one that is killed leaves it to the others, and the last takes it away."""
    settings = {"auth": AUTH, "server": {"unix_socket": socket_path, "workers": 2}}
    providers = {"sim": {"base_url": simulator.base_url, "allow_private": True}}
    async with gateway_process(tmp_path, providers, settings) as gateway:
        before = gateway.workers
        assert (await ask(socket_path, GET)).status == 200
        gateway.kill_worker(before[1])
        await gateway.wait_for_line("worker.died")
        answers = [await ask(socket_path, GET) for _ in range(4)]

    assert [heard.status for heard in answers] == [200] * 4
    assert not is_there(socket_path)
