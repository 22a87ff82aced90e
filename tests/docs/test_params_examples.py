"""The bodies before and after on the page about providers.

The rule here: a `yaml` block with two `json` blocks right after it says what a caller sends and
what the provider gets.
"""

import json
from pathlib import Path

import pytest

from gateway.config.load import load_registry
from gateway.config.registry import Provider
from gateway.wire.chat_request import read_chat, render_chat
from gateway.wire.completions_request import read_completions, render_completions
from tests.docs.pages import Block, blocks

PAGE = "docs/configure/providers.md"
EXAMPLES = [
    block
    for block in blocks(PAGE)
    if block.language == "yaml" and [after.language for after in block.after[:2]] == ["json"] * 2
]


def render(body: bytes, provider: Provider) -> bytes:
    """Give what the provider gets for a caller's body."""
    if b"chatSettings" not in body:
        asked = read_completions(body)
        return render_completions(
            asked, model=asked.model, rules=provider.params, ask_usage=provider.stream_usage
        )
    chat = read_chat(body)
    model = provider.find_model(chat.model)
    return render_chat(
        chat,
        model=chat.model,
        rules=provider.params,
        max_output=provider.max_output if model is None else model.max_output,
        ask_usage=provider.stream_usage,
    )


def in_order(text: str | bytes) -> list[tuple[str, object]]:
    """The members of an object with their order, which a provider may look at."""
    members: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
    return members


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda block: block.id)
def test_a_provider_gets_what_the_page_says(example: Block, tmp_path: Path) -> None:
    """Rules are copied from here; one that does something else is found by nobody."""
    sent, received = (block.text for block in example.after[:2])
    file = tmp_path / "providers.yaml"
    file.write_text(example.text, encoding="utf-8")

    rendered = render(sent.encode(), load_registry(file, {}).providers["mine"])

    assert in_order(rendered) == in_order(received)


def test_every_rule_has_its_example() -> None:
    """`send`, `drop`, `rename`, `set`, `cap` and the question for usage."""
    assert len(EXAMPLES) == 6
