"""Providers over TLS, the normal case: what holds for http holds, and nobody is trusted blindly.

The rule here: certificates come from an authority of the test's own, named by `tls.ca_file`.
"""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.simulator import Simulator
from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.raw_caller import Caller, Heard, request_bytes
from tests.plugins.raw_provider import RawProvider
from tests.plugins.stepped_provider import SteppedProvider, event_of

BOTH_LOOPS = True

HOST = "127.0.0.1"
MESSAGES = [{"role": "user", "content": "Hi"}]
V1, CHAT = "/v1/chat/completions", "/api/chat/sim"
YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
LEFT_S = 2.0
BOTH = pytest.mark.parametrize("path", [V1, CHAT], ids=["v1", "chat"])


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's TLS with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_signed(path: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that vouches for itself."""
    other = trustme.CA()
    other.private_key_pem.write_to_path(str(path))
    other.cert_pem.write_to_path(str(path), append=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@asynccontextmanager
async def simulate(context: ssl.SSLContext) -> AsyncIterator[Simulator]:
    """A simulator that speaks TLS."""
    async with Simulator(ssl_context=context) as simulator:
        yield simulator


@pytest.fixture
async def simulator(authority: trustme.CA) -> AsyncIterator[Simulator]:
    """A simulator whose certificate is good."""
    async with simulate(context_of(authority.issue_cert(HOST))) as started:
        yield started


async def open_gateway(
    start_gateway: StartGateway, base_url: str, ca_file: Path, **fields: Any
) -> Gateway:
    """A gateway that trusts the test's authority."""
    entry = {
        "base_url": base_url,
        "allow_private": True,
        "retries": 0,
        **fields,
        "tls": {"ca_file": str(ca_file), **fields.get("tls", {})},
    }
    return await start_gateway(
        providers={"sim": entry},
        settings={"auth": [ENTRY]},
        environ={"SIM_API_KEY": CREDENTIAL},
    )


@pytest.fixture
async def gateway(start_gateway: StartGateway, simulator: Simulator, ca_file: Path) -> Gateway:
    """A gateway to that simulator."""
    return await open_gateway(start_gateway, simulator.base_url, ca_file)


def body_of(path: str, model: str) -> dict[str, Any]:
    """A request's body; the model tells the simulator what to do."""
    if path == V1:
        usage = {"include_usage": True}  # or it would be left out of the stream
        return {
            "model": f"sim/{model}",
            "messages": MESSAGES,
            "stream": True,
            "stream_options": usage,
        }
    return {"chatSettings": {"model": model}, "messages": MESSAGES}


async def ask(gateway: Gateway, path: str, model: str = "plain") -> Heard:
    """One request on a connection of its own, heard to its end."""
    async with Caller(gateway.port) as caller:
        body = body_of(path, model)
        await caller.send(request_bytes(path, body, headers=("Connection: close",)))
        return await caller.read_to_end()


@pytest.mark.parametrize(
    "preset", ["plain", "bytes", "one-write", "utf8", "openrouter", "until-eof"]
)
async def test_a_stream_over_tls_is_relayed_byte_for_byte(
    gateway: Gateway, simulator: Simulator, preset: str
) -> None:
    """TLS cuts bytes into records of its own; the caller must not notice."""
    heard = await ask(gateway, V1, preset)

    assert (heard.status, heard.body) == (200, simulator.journal.last.body_sent)
    assert heard.is_whole


async def test_a_chat_over_tls_gets_the_text(gateway: Gateway, simulator: Simulator) -> None:
    """The chat front end sees no difference either; the credential went over TLS."""
    heard = await ask(gateway, CHAT)

    assert heard.body.startswith(b"This is a simulated answer.")
    assert heard.is_whole
    assert simulator.journal.last.header("authorization") == f"Bearer {CREDENTIAL}"


@BOTH
async def test_a_connection_is_used_again(
    gateway: Gateway, simulator: Simulator, path: str
) -> None:
    """A handshake costs two round trips and more CPU than the whole answer."""
    answers = [await ask(gateway, path) for _ in range(3)]

    assert [heard.is_whole for heard in answers] == [True, True, True]
    assert simulator.connections_opened == 1
    assert [served.request_number for served in simulator.journal] == [1, 2, 3]


async def test_a_connection_that_the_provider_closed_is_replaced(
    gateway: Gateway, simulator: Simulator
) -> None:
    """An idle connection may end at any time; the next caller must not pay for that."""
    await ask(gateway, V1)
    simulator.drop_connections()

    heard = await ask(gateway, V1)

    assert (heard.status, heard.is_whole) == (200, True)
    assert simulator.connections_opened == 2


@BOTH
@pytest.mark.parametrize("fault", ["wrong host", "expired", "self-signed", "unknown authority"])
async def test_a_certificate_that_proves_nothing_is_refused(
    start_gateway: StartGateway,
    authority: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
    path: str,
    fault: str,
) -> None:
    """Whoever answers there would get the credential and the conversation."""
    context = {
        "wrong host": lambda: context_of(authority.issue_cert("llm.example.org")),
        "expired": lambda: context_of(
            authority.issue_cert(HOST, not_before=YESTERDAY, not_after=YESTERDAY)
        ),
        "self-signed": lambda: self_signed(tmp_path / "self-signed.pem"),
        "unknown authority": lambda: context_of(trustme.CA().issue_cert(HOST)),
    }[fault]()
    async with simulate(context) as stranger:
        gateway = await open_gateway(start_gateway, stranger.base_url, ca_file)

        heard = await ask(gateway, path)

        error = heard.json["error"]
        assert (heard.status, error["code"]) == (502, "upstream_tls")
        assert "certificate" in (error if path == V1 else heard.json)["message"]
        assert len(stranger.journal) == 0


async def test_without_the_authority_in_the_registry_nothing_is_trusted(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """The system's authorities do not know this one."""
    entry = {"base_url": simulator.base_url, "allow_private": True, "retries": 0}
    gateway = await start_gateway(
        providers={"sim": entry},
        settings={"auth": [ENTRY]},
        environ={"SIM_API_KEY": CREDENTIAL},
    )

    heard = await ask(gateway, V1)

    assert (heard.status, heard.json["error"]["code"]) == (502, "upstream_tls")
    assert len(simulator.journal) == 0


async def test_the_name_on_the_certificate_may_be_named(
    start_gateway: StartGateway, authority: trustme.CA, ca_file: Path
) -> None:
    """An address inside a company is often not what the certificate says."""
    async with simulate(context_of(authority.issue_cert("llm.example.org"))) as simulator:
        gateway = await open_gateway(
            start_gateway, simulator.base_url, ca_file, tls={"server_name": "llm.example.org"}
        )

        heard = await ask(gateway, V1)

    assert (heard.status, heard.is_whole) == (200, True)


@BOTH
@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silent", "http"]
)
async def test_what_speaks_no_tls_is_a_tls_error(
    start_gateway: StartGateway, ca_file: Path, path: str, answer: bytes
) -> None:
    """A wrong port is a common mistake; the code says where to look."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()

    async with RawProvider(serve) as plain:
        gateway = await open_gateway(
            start_gateway, f"https://{HOST}:{plain.port}/v1", ca_file, timeouts={"tls_s": 0.1}
        )

        heard = await ask(gateway, path)

    assert (heard.status, heard.json["error"]["code"]) == (502, "upstream_tls")


@pytest.mark.parametrize("framing", ["chunked", "eof"])
@pytest.mark.parametrize("at", ["after_tokens", "in_event"])
@BOTH
async def test_a_stream_cut_over_tls_ends_as_a_failure(
    gateway: Gateway, simulator: Simulator, path: str, at: str, framing: str
) -> None:
    """TLS says farewell also when a program dies; that is no end of an answer."""
    simulator.script(
        {"count": 6, "cut": {"at": at, "after_tokens": 3}, "http": {"framing": framing}}
    )

    heard = await ask(gateway, path, "m")

    settled = await gateway.log.wait_for_settled()
    assert heard.status == 200
    assert [f"word{number}".encode() in heard.body for number in range(6)] == [True] * 3 + [
        False
    ] * 3
    assert not heard.is_whole
    assert b"[DONE]" not in heard.body
    assert settled[0]["outcome"] == "upstream_failed"


async def test_a_stream_that_lacks_its_last_chunk_over_tls_is_a_failure(
    gateway: Gateway, simulator: Simulator
) -> None:
    """A finish reason is no end where the framing has one of its own."""
    simulator.script({"count": 6, "cut": {"at": "after_finish"}})

    heard = await ask(gateway, V1, "m")

    assert (heard.status, heard.is_whole) == (200, False)
    assert (await gateway.log.wait_for_settled())[0]["error_code"] == "upstream_cut"


@BOTH
async def test_a_reset_over_tls_ends_as_a_failure(
    start_gateway: StartGateway, authority: trustme.CA, ca_file: Path, path: str
) -> None:
    """A reset has no farewell, and must not be waited out."""
    async with SteppedProvider(context_of(authority.issue_cert(HOST))) as provider:
        gateway = await open_gateway(start_gateway, provider.base_url, ca_file)
        async with Caller(gateway.port) as caller:
            await caller.send(
                request_bytes(path, body_of(path, "m"), headers=("Connection: close",))
            )
            await provider.open_stream()
            await provider.send(event_of(content="One"))
            await caller.read_until(b"One")
            provider.reset()
            rest = await caller.read_to_end()

        assert not rest.raw.endswith(b"0\r\n\r\n")
        assert (await gateway.log.wait_for_settled())[0]["error_code"] == "upstream_cut"


@BOTH
async def test_a_cut_before_the_head_is_a_status(
    gateway: Gateway, simulator: Simulator, path: str
) -> None:
    """Nothing was sent yet, so the caller can still be told."""
    simulator.script("cut-before-head")

    heard = await ask(gateway, path, "m")

    assert heard.status == 502
    assert heard.json["error"]["code"] == "upstream_connect"


@BOTH
async def test_a_caller_who_leaves_closes_the_tls_connection(
    gateway: Gateway, simulator: Simulator, path: str
) -> None:
    """Also while the provider says nothing: its tokens are paid for."""
    async with Caller(gateway.port) as caller:
        await caller.send(request_bytes(path, body_of(path, "stall")))
        await caller.read_until(b" is")

    async with asyncio.timeout(LEFT_S):
        await simulator.journal.last.peer_left.wait()
    assert (await gateway.log.wait_for_settled())[0]["outcome"] == "client_gone"
