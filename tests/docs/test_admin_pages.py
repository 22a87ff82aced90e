"""The commands of the pages that an admin pastes, with the key that the page makes.

The rule here: what is printed has the shape of what the page shows.
"""

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.docs.pages import Block, blocks, matches
from tests.plugins.gateway import Gateway, StartGateway

ADMIN = "docs/operate/admin.md"
POOL = "docs/configure/credential-pool.md"
LEDGER = "docs/configure/ledger.md"
REFUSED = "sk-canary-refused-0123456789"
LIMITED = "sk-canary-limited-0123456789"
QUESTION = '{"model":"demo/demo","max_tokens":1,"messages":[{"role":"user","content":"Hello"}]}'


def command_of(page: str, words: str) -> Block:
    """Find the command of a page that holds these words."""
    (found,) = [
        block for block in blocks(page) if block.language in {"sh", "bash"} and words in block.text
    ]
    return found


async def paste(text: str, gateway: Gateway | None = None, admin_key: str = "") -> str:
    """Give what a command prints."""
    if gateway is not None:
        text = text.replace("http://127.0.0.1:8081", gateway.admin_url)
    ran = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", text),
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "ADMIN_KEY": admin_key},
    )
    printed, complaints = await ran.communicate()
    assert ran.returncode == 0, complaints
    return printed.decode()


def shape_of(value: Any) -> Any:
    """Give the names of a document without what they hold."""
    if isinstance(value, dict):
        return {name: shape_of(held) for name, held in value.items()}
    return [shape_of(one) for one in value] if isinstance(value, list) else None


def is_like(shown: Block, printed: str) -> bool:
    """Say whether a document has the shape of the one on the page."""
    return bool(shape_of(json.loads(shown.text)) == shape_of(json.loads(printed)))


async def start(start_gateway: StartGateway, simulator: Simulator, digest: str) -> Gateway:
    """Start a gateway whose first credential has to wait, and whose second is refused."""
    simulator.answer_credential(LIMITED, {"error": {"status": 429, "retry_after": "60"}})
    simulator.answer_credential(REFUSED, {"error": {"status": 401}})
    credentials = ["${GROQ_API_KEY}", "${GROQ_API_KEY_2}"]
    return await start_gateway(
        providers={
            "demo": {"base_url": "simulator:", "auth": {"required": False}},
            "groq": {
                "base_url": simulator.base_url,
                "allow_private": True,
                "credentials": credentials,
            },
        },
        settings={"admin": {"keys": {"ops": digest}}, "auth": [{"kind": "gateway_key"}]},
        environ={"GROQ_API_KEY": LIMITED, "GROQ_API_KEY_2": REFUSED},
    )


async def ask(gateway: Gateway, key: str, question: str) -> None:
    """Ask something, and wait until it is settled."""
    count = len(gateway.log.settled) + 1
    call = f"curl -s {gateway.url}/v1/chat/completions -H 'Authorization: Bearer {key}'"
    await paste(f"{call} -d '{question}'")
    await gateway.log.wait_for_settled(count)


@pytest.mark.usefixtures("curl_path")
async def test_what_an_admin_pastes_does_what_the_pages_show(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """The pages build on each other: the key, a caller's key, what it used, the credentials."""
    makes_both = command_of(ADMIN, "ADMIN_KEY=")
    made = await paste(f'{makes_both.text}\necho "$ADMIN_KEY"')
    digest, admin_key = made.split()
    gateway = await start(start_gateway, simulator, digest)

    makes_key = command_of(ADMIN, "/keys ")
    created = await paste(makes_key.text, gateway, admin_key)
    key = json.loads(created)["key"]
    await ask(gateway, key, QUESTION)
    adds_up = command_of(LEDGER, "/usage")
    sums = await paste(adds_up.text, gateway, admin_key)
    shows = command_of(POOL, "format=table")
    table = await paste(shows.text, gateway, admin_key)

    assert is_like(makes_key.after[0], created)
    assert matches(adds_up.after[0].text, sums), sums
    assert table.splitlines()[0].split() == shows.after[0].text.splitlines()[0].split()


@pytest.mark.usefixtures("curl_path")
async def test_a_credential_is_restored_as_the_page_shows(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """It is pasted by somebody whose callers are being refused."""
    made = await paste(f'{command_of(ADMIN, "ADMIN_KEY=").text}\necho "$ADMIN_KEY"')
    digest, admin_key = made.split()
    gateway = await start(start_gateway, simulator, digest)
    created = await paste(
        command_of(ADMIN, "/keys ").text.replace('"demo/demo"', '"groq/any"'), gateway, admin_key
    )
    await ask(gateway, json.loads(created)["key"], QUESTION.replace("demo/demo", "groq/any"))
    restores = command_of(POOL, "/restore")

    printed = await paste(restores.text, gateway, admin_key)

    assert json.loads(printed) == json.loads(restores.after[0].text)
    assert re.search(r'"event":"credential.restored".*"admin":"ops"', gateway.log.getvalue())
