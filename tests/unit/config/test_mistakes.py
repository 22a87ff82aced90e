"""Tests of what validators say is wrong."""

import pytest

from gateway.config.mistakes import Mistake, MistakesError, refuse


def test_nothing_is_refused_where_nothing_is_wrong() -> None:
    """A validator says what it has found, which is mostly nothing."""
    refuse([])


def test_all_that_is_wrong_is_refused_together() -> None:
    """Whoever mends one mistake must not be told of the next one only then."""
    first, second = Mistake(("Host",), "leave it out", at_key=True), Mistake((), "is too much")

    with pytest.raises(MistakesError) as caught:
        refuse(iter([first, second]))

    assert caught.value.found == (first, second)
    assert str(caught.value) == "Host: leave it out; is too much"
