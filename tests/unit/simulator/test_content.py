"""What is said: tokens, reasoning, parts, and where it stops."""

from gateway.simulator.asking import Ask
from gateway.simulator.content import split_words, write_content, write_deltas
from gateway.simulator.directive import Directive


def test_a_text_is_split_into_words_that_join_to_it():
    """Blanks belong to the word after them, as in a model's tokens."""
    assert split_words("Hello, big  world\n") == ("Hello,", " big", "  world", "\n")


def test_tokens_come_from_a_list_a_text_or_a_count():
    """Three ways to say it, the most exact one first."""
    assert write_content(Directive(tokens=("a", "b"), text="c"), Ask()).tokens == ("a", "b")
    assert write_content(Directive(text="a b", count=9), Ask()).tokens == ("a", " b")
    assert write_content(Directive(count=2, template="{i};"), Ask()).tokens == ("0;", "1;")


def test_a_limit_is_obeyed_only_when_asked():
    """Most tests want all their tokens, whatever the gateway sets as a limit."""
    ask = Ask(max_tokens=1)

    obeyed = write_content(Directive(text="a b", obey_max_tokens=True), ask)
    ignored = write_content(Directive(text="a b"), ask)

    assert (obeyed.tokens, obeyed.finish_reason) == (("a",), "length")
    assert (ignored.tokens, ignored.finish_reason) == (("a", " b"), "stop")


def test_reasoning_comes_first_in_the_field_asked_for():
    """The field's name differs between providers."""
    directive = Directive(reasoning=("hm",), reasoning_field="reasoning", text="Hi")

    deltas = list(write_deltas(directive, write_content(directive, Ask())))

    assert deltas == [{"reasoning": "hm"}, {"content": "Hi"}]


def test_content_can_be_a_list_of_parts():
    """Mistral's thinking models send it so."""
    directive = Directive(text="Hi", content_parts=True)

    deltas = list(write_deltas(directive, write_content(directive, Ask())))

    assert deltas == [{"content": [{"type": "text", "text": "Hi"}]}]
