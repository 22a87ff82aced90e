"""What is held of an answer."""

from gateway.core.content import Content


def test_never_more_is_held_than_will_be_written() -> None:
    """A stream may go on for an hour."""
    content = Content("Hi", 5)

    for text in ("abc", "", "defg", "hi"):
        content.hear(text)

    assert content.answer == ["abc", "de"]


def test_another_attempt_begins_anew() -> None:
    """What the first one said was not relayed."""
    content = Content("Hi", 5)
    content.hear("abcdef")

    content.begin_answer()
    content.hear("xy")

    assert content.answer == ["xy"]
