"""What the README promises beyond its commands, tried as it says.

The rule here: the text comes from the page, so that the page is what is tested.
"""

import ast
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession

from gateway.config.load import load_registry
from tests.docs.conftest import CheckoutOf
from tests.docs.pages import ROOT, Block, all_blocks, blocks, matches
from tests.plugins.gateway import StartGateway
from tests.plugins.proxies.row import listening
from tests.plugins.proxies.running import KINDS, Proxies, Proxy

README = "README.md"


def settings_of(page: str, key: str) -> dict[str, Any]:
    """Give the first example of gateway.yaml on a page that has this key."""
    found = [block for block in blocks(page) if block.language == "yaml"]
    examples = [yaml.safe_load(block.text) for block in found]
    return next(example for example in examples if key in example)


async def status_of(url: str, **headers: str) -> int:
    """Ask for the list of models; give the status."""
    async with ClientSession() as session, session.get(f"{url}/v1/models", headers=headers) as got:
        return got.status


def test_the_gateway_prints_what_the_page_shows(checkout_of: CheckoutOf) -> None:
    """A user compares the screen with the page."""
    checkout = checkout_of(README)
    shown = next(block.text for block in blocks(README) if block.text.startswith("listening"))

    # A machine's own line, which a terminal shows in another form.
    printed = "".join(
        line for line in checkout.banner.splitlines(keepends=True) if not line.startswith("{")
    )

    assert checkout.as_on_the_page(printed) == shown


def test_the_mistake_on_the_page_is_what_check_prints(
    checkout_of: CheckoutOf, tmp_path: Path
) -> None:
    """The form of the line is what editors and people rely on."""
    shown = next(block.text for block in blocks(README) if "unknown key" in block.text)
    (tmp_path / "providers.yaml").write_text(
        "providers:\n  mine:\n    base_url: https://llm.example.org/v1\n    lable: Mine\n"
    )

    done = checkout_of(README).run("bash", "-c", f"cd {tmp_path} && gateway check providers.yaml")

    assert done.returncode == 1
    assert done.stdout == shown


def test_two_lines_are_a_provider(tmp_path: Path) -> None:
    """The promise in the first paragraph."""
    text = next(block.text for block in blocks(README) if "  mine:\n" in block.text)
    file = tmp_path / "providers.yaml"
    file.write_text(text)

    registry = load_registry(file, {"MINE_API_KEY": "a-credential"})

    assert len(text.splitlines()) == 3
    assert list(registry.credentials) == ["mine"]


def test_the_shipped_providers_are_all_named() -> None:
    """A reader looks for the one they use."""
    text = (ROOT / README).read_text(encoding="utf-8")
    found = re.search(r"`providers\.yaml` already holds (.*)\.\n", text)
    assert found is not None
    named = set(re.split(r", | and ", found[1]))

    assert named == set(load_registry(ROOT / "providers.yaml", {}).providers) - {"demo"}


@pytest.mark.parametrize(
    "block",
    [block for block in all_blocks("bash") if "print(key)" in block.text],
    ids=lambda block: block.id,
)
async def test_a_key_made_as_the_page_says_opens_the_gateway(
    block: Block, checkout_of: CheckoutOf, start_gateway: StartGateway
) -> None:
    """A hash of the wrong bytes is found by nobody until a caller is refused."""
    done = checkout_of(README).run("bash", "-c", block.text)
    key, digest = done.stdout.split()
    assert digest == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    settings = settings_of(block.page, "auth")
    settings["auth"][0]["keys"]["alice"] = digest
    settings["auth"] = settings["auth"][:1]
    gateway = await start_gateway(
        providers={"demo": {"base_url": "simulator:", "auth": {"required": False}}},
        settings=settings,
    )

    statuses = [
        await status_of(gateway.url, Authorization=f"Bearer {key}"),
        await status_of(gateway.url, **{"x-api-key": key}),
        await status_of(gateway.url, Authorization="Bearer gw_wrong"),
        await status_of(gateway.url),
    ]

    assert statuses == [200, 200, 401, 401]


@pytest.mark.parametrize("page", [README, "docs/operate/nginx.md"])
async def test_behind_nginx_a_key_is_needed_and_enough(
    page: str, start_gateway: StartGateway, nginx: Proxy
) -> None:
    """The step that people leave out is the one that says who may call."""
    settings = settings_of(page, "auth")
    digest = hashlib.sha256(b"gw_key").hexdigest()
    settings["auth"][0]["keys"]["alice"] = f"sha256:{digest}"
    providers = {"demo": {"base_url": "simulator:", "auth": {"required": False}}}
    where = {"server": listening(nginx)}
    without = await start_gateway(providers=providers, settings=where)
    of_open = [await status_of(without.url), await status_of(nginx.url)]
    await without.service.stop()
    settings["server"] = {**settings.get("server", {}), **where["server"]}
    await start_gateway(providers=providers, settings=settings)

    statuses = [
        await status_of(nginx.url, Authorization="Bearer gw_key"),
        await status_of(nginx.url),
        *of_open,
    ]

    assert statuses == [200, 401, 200, 401]


async def test_the_front_ends_page_lets_its_calls_in(
    start_gateway: StartGateway, proxies: Proxies
) -> None:
    """A front end shows no key, and a wrong `auth` is a chat that answers 401 to everybody."""
    settings = settings_of("docs/start/chat-front-end.md", "auth")
    nginx = proxies.start_on_loopback(KINDS["nginx"], chat_ui=True)
    settings["server"] = {**settings.get("server", {}), **listening(nginx)}
    await start_gateway(
        providers={"demo": {"base_url": "simulator:", "auth": {"required": False}}},
        settings=settings,
    )
    question = {
        "chatSettings": {"model": "plain"},
        "messages": [{"role": "user", "content": "Hello"}],
    }

    async with (
        ClientSession() as session,
        session.post(f"{nginx.url}/api/chat/demo", json=question) as answer,
    ):
        text = await answer.text()

    assert answer.status == 200
    assert text


async def test_the_middleware_on_the_page_stamps_answers(start_gateway: StartGateway) -> None:
    """The block in gateway.yaml and the module are only of use together."""
    gateway = await start_gateway(
        providers={"demo": {"base_url": "simulator:", "auth": {"required": False}}},
        settings=settings_of(README, "middleware"),
    )

    async with ClientSession() as session, session.get(f"{gateway.url}/v1/models") as answer:
        stamped = answer.headers["X-Hello"]

    assert stamped == "local"


def test_the_middleware_on_the_page_is_the_one_that_ships() -> None:
    """Two versions of one example are one too many."""
    (shown,) = [block.text for block in blocks(README) if "def stamp" in block.text]
    shipped = ast.parse((ROOT / "plugins" / "hello.py").read_text(encoding="utf-8"))

    without_docstring = ast.Module(shipped.body[1:], type_ignores=[])

    assert ast.dump(ast.parse(shown)) == ast.dump(without_docstring)


def test_a_wildcard_stands_for_anything_and_nothing_else_does() -> None:
    """The comparison that all of these tests rest on."""
    assert matches("a … d\n", "a b c d")
    assert not matches("a … d\n", "a b c")
    assert not matches("a.c\n", "abc")
