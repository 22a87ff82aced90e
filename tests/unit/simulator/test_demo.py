"""The demo answer: what a new user reads first."""

from gateway.config.load import load_registry, shipped_file
from gateway.simulator.demo import ANSWER, write_demo
from gateway.simulator.directive import Directive


def test_it_comes_at_the_pace_of_a_fast_reader():
    """A text that is there at once shows no streaming."""
    demo = write_demo("the sea")

    assert (demo.ttft_s, demo.gap_s) == (0.15, 0.025)
    assert len(demo.tokens) < 200


def test_it_says_what_to_do_next():
    """A key, or two lines more, and one command asks it."""
    text = "".join(write_demo("", "http://gateway.example").tokens)

    assert "GROQ_API_KEY" in text
    assert "curl http://gateway.example/v1/chat/completions" in text
    assert text.startswith("Hello! I am the demo provider")


def test_its_two_lines_can_be_put_where_it_says(tmp_path):
    """A provider that ships already would stop the next start: it would be there twice."""
    text = "".join(write_demo("").tokens)
    lines = [line for line in text.splitlines() if line.startswith("  ") and "base_url" in line]
    assert len(lines) == 1
    name = text.splitlines()[text.splitlines().index(lines[0]) - 1]
    file = tmp_path / "providers.yaml"
    file.write_text("\n".join([shipped_file("providers.yaml").read_text(), name, *lines, ""]))

    registry = load_registry(file, {})

    assert registry.providers["mine"].env == "MINE_API_KEY"
    assert "MINE_API_KEY" in text


def test_it_greets_with_the_topic():
    """A word from the question shows that the question arrived."""
    assert "".join(write_demo("the sea").tokens).startswith("Hello! You asked about “the sea”.")


async def test_it_obeys_a_limit_of_tokens(ask):
    """A caller's `max_tokens` works without any provider."""
    document = (await ask(stream=False, max_tokens=3)).json

    assert document["usage"]["completion_tokens"] == 3
    assert document["choices"][0]["finish_reason"] == "length"


async def test_it_is_the_answer_to_any_model(ask):
    """A typo in the model's name should not be the first thing a new user meets."""
    document = (await ask(stream=False, model="anything", max_tokens=4)).json

    assert document["model"] == "anything"
    assert document["choices"][0]["message"]["content"] == "Hello! You asked about"


def test_it_is_an_ordinary_directive():
    """Whatever holds for directives holds for it."""
    assert isinstance(write_demo(""), Directive)
    assert "{" not in ANSWER.format(url="x").partition("-d '")[0]
