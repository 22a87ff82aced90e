"""TLS at each reverse proxy, with HTTP/1.1 and HTTP/2, read by curl.

The rule here: the certificate is verified, and what arrives is what curl has printed by then.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.config.provider_blocks import TimeoutsSpec
from gateway.config.settings import CommitSpec, ServerSpec
from tests.plugins.programs import find_curl
from tests.plugins.proxies.plan import DEPLOY, HTTPS_PORT
from tests.plugins.proxies.row import BODIES, V1, Row, only_linux
from tests.plugins.proxies.running import HOST_NAME
from tests.plugins.stepped_provider import DONE, END, event_of

pytestmark = only_linux()
PLAIN_LOOP = True

VERSIONS = pytest.mark.parametrize("version", ["1.1", "2"])
LEFT_S = 2.0
READ_S = 10
TOO_LARGE = 32 * 1024 * 1024 + 1
# Each file's longest wait for a gateway that is silent.
PATIENCE = {
    "nginx/gateway/limits.conf": r"proxy_read_timeout (\d+)s;",
    "haproxy/haproxy.cfg": r"timeout server (\d+)s",
    "caddy/gateway.caddy": r"response_header_timeout (\d+)s",
    "apache/gateway/server.conf": r"ProxyTimeout (\d+)",
    "apache/gateway.conf": r"\btimeout=(\d+)",
}
# How long each keeps an unused connection to the gateway, and how much longer that may become:
# HAProxy closes half of them each time, so all but one in a thousand after ten times.
KEPT = {
    "nginx/gateway/upstream.conf": (r"keepalive_timeout (\d+)s;", 1),
    "haproxy/haproxy.cfg": (r"pool-purge-delay (\d+)s", 10),
    "caddy/gateway.caddy": (r"\bkeepalive (\d+)s", 1),
    "apache/gateway.conf": (r"\bttl=(\d+)", 1),
}


class Curl:
    """curl, in the middle of an answer."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self.running = running
        self.read = b""

    async def read_until(self, mark: bytes) -> None:
        """Wait for what it prints."""
        assert self.running.stdout is not None
        async with asyncio.timeout(READ_S):
            while mark not in self.read:
                piece = await self.running.stdout.read(65_536)
                assert piece, self.read
                self.read += piece

    async def end(self) -> int:
        """Wait for its end; its exit code."""
        assert self.running.stdout is not None
        async with asyncio.timeout(READ_S):
            self.read += await self.running.stdout.read()
            return await self.running.wait()


@asynccontextmanager
async def curl(row: Row, version: str, *more: str) -> AsyncIterator[Curl]:
    """Ask for a stream by the proxy's name."""
    program = find_curl()
    address = f"{HOST_NAME}:{HTTPS_PORT}"
    running = await asyncio.create_subprocess_exec(
        *(program, "-siN", f"--http{version}", "--cacert", row.proxy.authority),
        *("--resolve", f"{address}:{row.proxy.host}", "-d", json.dumps(BODIES[V1]), *more),
        f"https://{address}{V1}",
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Curl(running)
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


@VERSIONS
async def test_pieces_arrive_one_by_one_over_tls(row: Row, version: str) -> None:
    """G14: what is encrypted is not held back either, nor what shares a connection."""
    async with curl(row, version) as caller:
        await row.provider.open_stream()
        for word in ("One", " two", " three"):
            await row.provider.send(event_of(content=word))
            await caller.read_until(event_of(content=word))
        await row.provider.send(DONE)
        await row.provider.send_raw(END)
        code = await caller.end()

    assert code == 0
    spoken = version if row.proxy.kind.offers_http2 else "1.1"
    assert caller.read.startswith(f"HTTP/{spoken} 200".encode())
    assert caller.read.endswith(DONE)
    assert b"content-encoding" not in caller.read.lower()


@VERSIONS
async def test_over_tls_too_a_cut_stream_stays_cut(row: Row, version: str) -> None:
    """With HTTP/2 it is the stream that is reset; HAProxy 2.6 ends it, and so does not offer it."""
    async with curl(row, version) as caller:
        await row.provider.open_stream()
        await row.provider.send(event_of(content="One"))
        await caller.read_until(event_of(content="One"))
        await row.provider.cut()
        code = await caller.end()

    assert (code == 0) == row.proxy.hides_cuts


@VERSIONS
async def test_over_tls_too_a_caller_who_leaves_is_seen(row: Row, version: str) -> None:
    """With HTTP/2 the connection may stay; the stream is what ends."""
    async with curl(row, version) as caller:
        await row.provider.open_stream()
        await row.provider.send(event_of(content="One"))
        await caller.read_until(event_of(content="One"))

    if not row.proxy.kind.sees_a_silent_caller_leave:
        while not row.gateway.log.settled:
            await row.provider.send(event_of(content=" two"))
            await row.pause()
    await row.provider.wait_until_left(LEFT_S)
    assert (await row.gateway.log.wait_for_settled())[0]["outcome"] == "client_gone"


@VERSIONS
async def test_over_tls_too_what_is_too_large_is_refused_as_json(row: Row, version: str) -> None:
    """C01: with HTTP/2 the body was too large for nginx's own error as well, which came as HTML."""
    async with curl(row, version, "-H", f"Content-Length: {TOO_LARGE}") as caller:
        await caller.read_until(b'"code":"body_too_large"')

    assert b"content-type: application/json\r\n" in caller.read.lower()


@pytest.mark.parametrize("file", PATIENCE)
def test_no_proxy_gives_up_before_the_gateway_does(file: str) -> None:
    """The gateway ends a silent answer itself and says why; a proxy can only cut."""
    found = re.search(PATIENCE[file], (DEPLOY / file).read_text())
    assert found

    timeouts, commit = TimeoutsSpec(), CommitSpec()
    silences = [
        timeouts.first_content_s,
        timeouts.idle_s,
        timeouts.reply_s,
        commit.chat_max_wait_s,
        commit.v1_max_wait_s,
        ServerSpec().request_body_timeout_s,
    ]
    assert int(found[1]) > max(silences)


@pytest.mark.parametrize("file", KEPT)
def test_no_proxy_keeps_a_connection_for_longer_than_the_gateway(file: str) -> None:
    """A request that is sent into a connection while it is closed is a 502."""
    pattern, times = KEPT[file]

    kept = [int(found) * times for found in re.findall(pattern, (DEPLOY / file).read_text())]

    assert kept
    assert max(kept) < ServerSpec().keep_alive_s


def test_caddy_has_time_for_the_other_gateway_when_the_first_does_not_answer() -> None:
    """A machine that is gone refuses nothing: only the end of `dial_timeout` says so."""
    dial = re.search(r"dial_timeout (\d+)s", (DEPLOY / "caddy/gateway.caddy").read_text())
    tries = re.search(r"lb_try_duration (\d+)s", (DEPLOY / "caddy/Caddyfile").read_text())

    assert dial
    assert tries
    assert int(tries[1]) > int(dial[1])


def test_each_of_two_gateways_is_asked_on_its_own_admin_listener() -> None:
    """Asked at one and the same, both are left out when one of them is gone."""
    text = (DEPLOY / "haproxy/haproxy.cfg").read_text()

    asked = re.findall(r"server (?:one|two) ([\d.]+):\d+ port (\d+)", text)

    assert len(set(asked)) == 2


def test_caddys_limit_of_a_whole_answer_is_longer_than_the_longest() -> None:
    """It is the only one whose clock runs while an answer flows."""
    found = re.search(r"write (\d+)s", (DEPLOY / "caddy/Caddyfile").read_text())

    assert found
    assert int(found[1]) > TimeoutsSpec().total_s
