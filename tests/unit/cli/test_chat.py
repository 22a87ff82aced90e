"""`gateway chat`, against a gateway that answers, refuses and breaks off."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from gateway.cli.chat import chat
from gateway.serving.service import Service
from tests.plugins.chain import StartChain

CHUNK = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def run(url: str, target: str = "groq/m", key: str | None = None) -> int:
    """The exit code of one question."""
    return await asyncio.to_thread(chat, target, "Hi", url, key)


def stream(*pieces: bytes) -> Handler:
    """A handler that streams these."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response

    return handle


async def test_the_answer_is_printed(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Through all of the gateway, from the built-in provider."""
    code = await run(f"{service.url}/v1/", "demo/sim:groq-2026")  # as it is told to SDKs

    captured = capsys.readouterr()
    assert (code, captured.err) == (0, "")
    assert len(captured.out) > 1
    assert captured.out.endswith("\n")


async def test_a_refusal_is_told_in_the_gateways_words(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to do next."""
    code = await run(service.url, "groq/m")

    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "")
    assert "GROQ_API_KEY" in captured.err


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([CHUNK % b"half"], "broke off"),
        ([CHUNK % b"half", b'data: {"error":{"message":"No more."}}\n\n'], "No more."),
        ([CHUNK % b"half", b"data: <html>\n\n"], "broke off"),
    ],
    ids=["no end", "an error", "garbage"],
)
async def test_half_an_answer_is_a_failure(
    start_chain: StartChain,
    capsys: pytest.CaptureFixture[str],
    pieces: list[bytes],
    message: str,
) -> None:
    """A script that pipes it on has to know."""
    chain = await start_chain(stream(*pieces))

    code = await run(f"http://127.0.0.1:{chain.port}")

    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "half")
    assert message in captured.err


async def test_a_cut_connection_is_a_failure(
    start_chain: StartChain, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is how the gateway ends what it could not finish."""

    async def cut(request: web.Request) -> web.StreamResponse:
        response = await stream(CHUNK % b"half")(request)
        raise ValueError(response)

    chain = await start_chain(cut)

    code = await run(f"http://127.0.0.1:{chain.port}")

    assert code == 1
    assert "broke off" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid", "no url"])
async def test_no_gateway_is_said_plainly(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that starts one."""
    code = await run(url)

    captured = capsys.readouterr()
    assert code == 1
    assert url in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://127.0.0.1", "no url", "http://"])
async def test_what_is_no_address_is_said_to_be_none(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scheme is what people leave out."""
    code = await run(url)

    assert code == 1
    assert f"{url} is not the address of a gateway, such as http://" in capsys.readouterr().err


async def test_the_key_is_shown_to_the_gateway(
    start_chain: StartChain, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a bearer, like any SDK."""
    seen = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return await stream(b"data: [DONE]\n\n")(request)

    chain = await start_chain(look)

    code = await run(f"http://127.0.0.1:{chain.port}/", key="gw-1")

    assert (code, seen) == (0, ["Bearer gw-1"])
    assert capsys.readouterr().out == "\n"


async def test_an_answer_cannot_command_the_terminal(
    start_chain: StartChain, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model writes what it has read somewhere."""
    chain = await start_chain(stream(CHUNK % rb"a\u001b[2Jb\n\tc", b"data: [DONE]\n\n"))

    await run(f"http://127.0.0.1:{chain.port}")

    assert capsys.readouterr().out == "a[2Jb\n\tc\n"
