"""A key is read from the two headers that clients use, and from one of them only."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.auth.method import read_key
from gateway.core.errors import AmbiguousAuthError

Headers = list[tuple[str, str]]


def read(headers: Headers) -> str | None:
    """The key in these headers."""
    return read_key(CIMultiDictProxy(CIMultiDict(headers)))


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], None),
        ([("Authorization", "Bearer k")], "k"),
        ([("authorization", "bEaReR \t k \t")], "k"),
        ([("x-api-key", "k")], "k"),
        ([("Authorization", "Bearer k"), ("X-Api-Key", "k")], "k"),
        ([("Authorization", "Basic k")], ""),
        ([("Authorization", "")], ""),
    ],
    ids=str,
)
def test_a_key_is_read_from_either_header(headers: Headers, key: str | None) -> None:
    """What cannot be a key is not the same as none: its sender has to hear of it."""
    assert read(headers) == key


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer k"), ("Authorization", "Bearer k")],
        [("x-api-key", "k"), ("x-api-key", "k")],
        [("Authorization", "Bearer k"), ("x-api-key", "other")],
    ],
    ids=str,
)
def test_two_keys_are_refused(headers: Headers) -> None:
    """A proxy in front may have looked at the other one."""
    with pytest.raises(AmbiguousAuthError):
        read(headers)
