"""A provider's last bytes and its reset, in one wake-up of the loop, over TLS.

The rule here: the loop is held up on purpose, because that is when both arrive together.
"""

import socket
import ssl
import struct
import threading
from pathlib import Path

import pytest
import trustme

from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import CREDENTIAL, StartGateway
from tests.plugins.raw_caller import Caller, request_bytes

BOTH_LOOPS = True

HOST = "127.0.0.1"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk_of(text: str) -> bytes:
    """One event in one HTTP chunk."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text.encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


class ResettingProvider:
    """Answers one request from a thread: a beginning, then at a sign more bytes and a reset."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server((HOST, 0))
        self.base_url = f"https://{HOST}:{self._listener.getsockname()[1]}/v1"
        self.may_reset = threading.Event()
        self.has_reset = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of the listener."""
        self._thread.join(timeout=10)
        self._listener.close()

    def _serve(self) -> None:
        accepted, _ = self._listener.accept()
        peer = self._context.wrap_socket(accepted, server_side=True)
        peer.recv(65536)
        peer.sendall(HEAD + chunk_of("One"))
        self.may_reset.wait(10)
        peer.sendall(chunk_of("Two"))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        peer.close()
        self.has_reset.set()


@pytest.fixture
def ca_file(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """An authority, and a server's TLS with a certificate of it."""
    authority = trustme.CA()
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    return path, context


async def test_a_reset_behind_the_last_bytes_does_not_hang_the_caller(
    start_gateway: StartGateway, ca_file: tuple[Path, ssl.SSLContext]
) -> None:
    """Without looking at the socket it would end at `idle_s`, under the wrong name."""
    path, context = ca_file
    provider = ResettingProvider(context)
    gateway = await start_gateway(
        providers={
            "sim": {
                "base_url": provider.base_url,
                "allow_private": True,
                "tls": {"ca_file": str(path)},
            }
        },
        settings={"auth": [ENTRY]},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    body = {"model": "sim/m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    async with Caller(gateway.port) as caller:
        await caller.send(
            request_bytes("/v1/chat/completions", body, headers=("Connection: close",))
        )
        await caller.read_until(b"One")
        provider.may_reset.set()
        provider.has_reset.wait(10)  # holds the loop: both are there when it looks again
        rest = await caller.read_to_end()

    provider.close()
    assert not rest.raw.endswith(b"\r\n0\r\n\r\n")
    assert b"[DONE]" not in rest.raw
    assert (await gateway.log.wait_for_settled())[0]["error_code"] == "upstream_cut"
