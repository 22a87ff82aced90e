"""`gateway chat`, against a gateway that answers, refuses and breaks off."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable

import pytest
import trustme
from aiohttp import web

from gateway.cli.chat import chat
from gateway.serving.service import Service
from gateway.simulator import Simulator
from tests.plugins.chain import StartChain
from tests.plugins.gateway import StartGateway

CHUNK = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'

END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'

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


@pytest.mark.parametrize(
    ("pieces", "printed"),
    [
        ([CHUNK % b"Hi", END], "Hi\n"),
        ([CHUNK % b"Hi", END, b"data: [DONE]"], "Hi\n"),
        ([CHUNK % b"Hi", b"data: [DONE] \n\n"], "Hi\n"),
        ([b"data:\n\n", CHUNK % b"Hi", b"data: null\n\n", b"data: [DONE]\n\n"], "Hi\n"),
        ([b"event: ping\ndata: ping\n\n", CHUNK % b"Hi", b"data: [DONE]\n\n"], "Hi\n"),
        ([CHUNK % rb"\ud83d", CHUNK % rb"\ude00", b"data: [DONE]\n\n"], "\U0001f600\n"),
    ],
    ids=["no terminator", "no blank line", "a blank", "nothing", "a ping", "half letters"],
)
async def test_what_the_gateway_took_for_whole_is_printed_as_whole(
    start_chain: StartChain,
    capsys: pytest.CaptureFixture[str],
    pieces: list[bytes],
    printed: str,
) -> None:
    """It relays the provider's own events, and not all of them end as OpenAI's do."""
    chain = await start_chain(stream(*pieces))

    code = await run(f"http://127.0.0.1:{chain.port}")

    assert (code, *capsys.readouterr()) == (0, printed, "")


async def test_an_error_in_any_shape_is_told(
    start_chain: StartChain, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some say it in a string."""
    chain = await start_chain(stream(CHUNK % b"half", b'data: {"error":"No more."}\n\n'))

    code = await run(f"http://127.0.0.1:{chain.port}")

    assert (code, *capsys.readouterr()) == (1, "half", "\nNo more.\n")


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


async def test_a_server_without_tls_is_told_apart_from_none(
    start_chain: StartChain, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is to be started there."""
    chain = await start_chain(stream(b"data: [DONE]\n\n"))

    code = await run(f"https://127.0.0.1:{chain.port}")

    assert code == 1
    assert "may begin with http://" in capsys.readouterr().err


async def test_a_certificate_that_is_not_trusted_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The gateway runs; who calls it has not heard of its authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with Simulator(ssl_context=context) as simulator:
        code = await run(f"https://127.0.0.1:{simulator.port}")

    assert code == 1
    assert "is not trusted here: unable to get local issuer" in capsys.readouterr().err


async def test_a_question_is_read_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """In the locale `C` Python takes each byte of a letter for half a surrogate pair."""
    async with Simulator() as simulator:
        url = simulator.base_url

        typed = await asyncio.to_thread(chat, "plain", "h\udcc3\udca9", url, None)
        other = await asyncio.to_thread(chat, "plain", "h\udcff", url, None)
        asked = [json.loads(served.body)["messages"][0]["content"] for served in simulator.journal]

    assert (typed, other, asked) == (0, 1, ["h\xe9"])
    assert capsys.readouterr().err == "The text is not UTF-8.\n"


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


async def test_who_shows_no_key_reads_where_it_is_taken_from(
    start_gateway: StartGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gateway's own words name a header, which nobody writes on a command line."""
    gateway = await start_gateway(
        providers={"demo": {"base_url": "simulator:", "auth": {"required": False}}},
        settings={"auth": [{"kind": "gateway_key", "keys": {"alice": f"sha256:{'0' * 64}"}}]},
    )

    codes = [await run(gateway.url, "demo/plain", key) for key in (None, "gw_unknown")]

    assert codes == [1, 1]
    assert (
        capsys.readouterr().err.count("`gateway chat` shows the one in GATEWAY_KEY or --key.") == 2
    )


@pytest.mark.parametrize("key", ["gw_1\n", "gw 1", "gw_1\x00", "gw_ö", ""])
async def test_a_key_that_is_none_is_not_taken_for_a_wrong_address(
    key: str, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line break comes out of many a file, and cannot be sent."""
    code = await run(service.url, "demo/plain", key)

    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith("The key in GATEWAY_KEY or --key contains a space")
    assert service.url not in said


async def test_another_listener_is_told_from_the_one_for_callers(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two addresses are printed at the start, and one is easily taken for the other."""
    assert service.admin_url is not None

    code = await run(service.admin_url, "demo/plain")

    assert code == 1
    assert capsys.readouterr().err == (
        f"{service.admin_url} answered 404, but not like a gateway; "
        "`gateway serve` prints the right address as `listening`.\n"
    )


async def test_an_answer_cannot_command_the_terminal(
    start_chain: StartChain, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model writes what it has read somewhere."""
    chain = await start_chain(stream(CHUNK % rb"a\u001b[2Jb\n\tc", b"data: [DONE]\n\n"))

    await run(f"http://127.0.0.1:{chain.port}")

    assert capsys.readouterr().out == "a[2Jb\n\tc\n"


@pytest.mark.parametrize(
    "answer",
    [
        "Bonjour\u00a0! 10\u202f%",  # no-break spaces
        "\u6771\u3000\u4eac",  # the space of Chinese and Japanese
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with its non-joiner
        "\U0001f469\u200d\U0001f469\u200d\U0001f467",  # a family: three emoji, joined
        "a\u00adb\u200e\u0378",  # a soft hyphen, a mark, and a letter of a later Unicode
    ],
)
async def test_an_answer_keeps_every_letter(
    start_chain: StartChain, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    """Python calls unprintable what many languages are written with."""
    chain = await start_chain(stream(CHUNK % answer.encode(), b"data: [DONE]\n\n"))

    await run(f"http://127.0.0.1:{chain.port}")

    assert capsys.readouterr().out == f"{answer}\n"
