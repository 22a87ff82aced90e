"""The demo answer: what a new user reads first."""

from gateway.simulator.demo import ANSWER, write_demo
from gateway.simulator.directive import Directive


def test_it_comes_at_the_pace_of_a_fast_reader():
    """A text that is there at once shows no streaming."""
    demo = write_demo("the sea")

    assert (demo.ttft_s, demo.gap_s) == (0.15, 0.025)
    assert len(demo.tokens) < 200


def test_it_says_what_to_do_next():
    """Two lines are a provider, and one command asks it."""
    text = "".join(write_demo("", "http://gateway.example").tokens)

    assert "base_url: https://api.groq.com/openai/v1" in text
    assert "curl http://gateway.example/v1/chat/completions" in text
    assert text.startswith("Hello! I am the demo provider")


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
