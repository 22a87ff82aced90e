"""The directive: closed, frozen, and empty by default."""

import msgspec
import pytest

from gateway.simulator import Directive, DirectiveError, read_directive
from gateway.simulator.blocks import Cut, SseStyle


def test_an_empty_directive_is_the_plain_one():
    """A field left out must change nothing, or tests would depend on what they do not say."""
    assert read_directive({}) == Directive()


def test_a_directive_survives_json():
    """Directives travel as JSON inside model names and headers."""
    directive = Directive(tokens=("a", "b"), cut=Cut(at="in_event"), sse=SseStyle(line_end="cr"))

    assert msgspec.json.decode(msgspec.json.encode(directive), type=Directive) == directive


@pytest.mark.parametrize(
    "wish",
    [
        {"colour": "red"},
        {"cut": {"at": "lunch"}},
        {"sse": {"line_end": "lf", "colour": "red"}},
        {"gap_s": -1},
        {"gap_s": "fast"},
        {"preset": "no-such-preset"},
        "no-such-preset",
        "{not json",
        7,
    ],
)
def test_a_mistake_is_refused(wish):
    """A misspelt field that is ignored makes a fault test pass without its fault."""
    with pytest.raises(DirectiveError):
        read_directive(wish)


def test_a_preset_can_be_changed_field_by_field():
    """A test wants the shape of a provider with its own tokens in it."""
    directive = read_directive({"preset": "openrouter", "count": 2, "comments": {"every": 1}})

    assert (directive.finish, directive.count) == ("twice", 2)
    assert (directive.comments.before, directive.comments.every) == (3, 1)
