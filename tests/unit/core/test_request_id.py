"""Ids that may stand anywhere."""

import pytest

from gateway.core.request_id import is_request_id, new_request_id


def test_a_new_id_is_one_that_would_be_accepted() -> None:
    """A gateway behind a gateway keeps the id of the first."""
    assert is_request_id(new_request_id())


def test_no_two_are_alike() -> None:
    """An id names one request."""
    assert len({new_request_id() for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize("text", ["", "a\n", "a b", "a" * 129, "ä", "a/b", "a:b", "a\x00"])
def test_anything_that_could_be_read_as_more_is_refused(text: str) -> None:
    """It goes into headers and log lines as it is."""
    assert not is_request_id(text)
