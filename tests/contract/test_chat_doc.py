"""The examples of docs/chat-contract.md, sent as they stand there.

The rule here: the page is the test; what an answer shows has to be in the real one, byte by byte.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.contract.entries import SHIPPED, shipped_entry
from tests.contract.node import finish, start
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.raw_caller import Caller, Heard

PAGE = (Path(__file__).parents[2] / "docs" / "chat-contract.md").read_text()
BLOCK = re.compile(
    r"(?:<!-- provider: (?P<plan>[^\n]+) -->\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL
)


@dataclass
class Example:
    """A request, its answer, and what the provider does and gets meanwhile."""

    request: str
    plan: dict[str, Any]
    answer: str = ""
    upstream: str = ""


def read_examples() -> list[Example]:
    """Every pair of request and answer on the page, in order."""
    examples: list[Example] = []
    for block in BLOCK.finditer(PAGE):
        if block["kind"] == "json":
            examples[-1].upstream = block["text"]
        elif block["kind"] == "http" and block["text"].startswith("HTTP/1.1 "):
            examples[-1].answer = block["text"]
        elif block["kind"] == "http":
            examples.append(Example(block["text"], json.loads(block["plan"] or "{}")))
    return examples


EXAMPLES = read_examples()


@pytest.fixture
async def documented(start_gateway: StartGateway, simulator: Simulator) -> Gateway:
    """The gateway of the page: three providers, two of them with a credential."""
    return await start_gateway(
        providers={
            name: shipped_entry(name, simulator.base_url)
            for name in ("groq", "openrouter", "mistral")
        },
        environ={"GROQ_API_KEY": CREDENTIAL, "OPENROUTER_API_KEY": CREDENTIAL},
    )


def as_sent(request: str) -> bytes:
    """A request of the page with its line ends, its length and the end of its connection."""
    head, _, body = request.partition("\n\n")
    content = body.strip().encode()
    lines = [*head.splitlines(), f"Content-Length: {len(content)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + content


async def ask(gateway: Gateway, example: Example) -> Heard:
    """The answer to a request of the page."""
    async with Caller(gateway.port) as caller:
        await caller.send(as_sent(example.request))
        return await caller.read_to_end()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.request.split()[1])
async def test_an_example_is_answered_as_the_page_says(
    documented: Gateway, simulator: Simulator, example: Example
) -> None:
    """An example that is not true costs everybody who tries it an hour."""
    if example.plan:
        simulator.script(example.plan)
    shown_head, _, shown_body = example.answer.partition("\n\n")

    heard = await ask(documented, example)

    status, *shown_headers = shown_head.splitlines()
    sent = heard.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert sent[0] == status
    assert [line for line in shown_headers if line not in sent] == []
    if heard.is_chunked:
        assert heard.framed.decode() == shown_body.replace("\n", "\r\n")
    else:
        assert heard.framed.decode() == shown_body.strip()
    if example.upstream:
        assert simulator.journal.last.body.decode() == example.upstream.strip()


async def test_the_browser_s_example_runs(
    node_path: Path, documented: Gateway, simulator: Simulator, tmp_path: Path
) -> None:
    """It is what people copy first."""
    simulator.script({"tokens": ["Hel", "lo", ", wörld"], "writes": {"in_utf8": True}})
    [block] = [block["text"] for block in BLOCK.finditer(PAGE) if block["kind"] == "js"]
    program = tmp_path / "example.mjs"
    script = block.replace('"/api/', f'"{documented.url}/api/')
    program.write_text(f"{script}\nconsole.log(JSON.stringify(text));\n")

    assert await finish(await start(node_path, program)) == "Hello, wörld"


def test_every_example_has_an_answer() -> None:
    """A block that the tests overlook proves nothing."""
    assert len(EXAMPLES) > 5
    assert [example.request for example in EXAMPLES if not example.answer] == []


def test_every_deviation_says_what_and_why() -> None:
    """A deviation without a reason is a mistake that nobody has found yet."""
    table = PAGE.partition("## Deliberate deviations")[2]
    rows = [row.strip("|").split("|") for row in table.splitlines() if row.startswith("| ")]

    assert len(rows) > 20
    assert [row for row in rows if len(row) != 3 or not all(cell.strip() for cell in row)] == []


def test_the_page_speaks_of_providers_that_ship() -> None:
    """Its names are what a reader types."""
    named = set(re.findall(r"POST /api/chat/(\w+)", PAGE)) - {"nobody"}

    assert named <= SHIPPED.keys()
