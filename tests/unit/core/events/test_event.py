"""How an event is declared."""

from gateway.core.events.event import LogEvent, make_event


def test_words_with_blanks_are_a_declaration() -> None:
    """A list of seventy is read more easily without brackets."""
    made = make_event("a.happened", "info debug", "it did", "one two")

    assert made == LogEvent("a.happened", ("info", "debug"), "it did", ("one", "two"))
