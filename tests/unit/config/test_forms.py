"""Tests of the forms and their words."""

import re

from gateway.config import forms

PATTERNS = {
    name: value for name, value in vars(forms).items() if name.isupper() and isinstance(value, str)
}


def test_every_form_has_words_of_its_own() -> None:
    """A pattern in a message helps nobody; two equal patterns would share one message."""
    assert set(PATTERNS.values()) == set(forms.MEANINGS)
    assert len(PATTERNS) == len(forms.MEANINGS)


def test_every_form_covers_the_whole_text() -> None:
    """Without both ends a good beginning would let anything follow."""
    for pattern in PATTERNS.values():
        assert all(
            part.startswith("^") and part.endswith("$") for part in re.split(r"(?<=\$)\|", pattern)
        )
