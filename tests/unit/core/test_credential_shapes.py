"""Tests of what a credential looks like. What is masked of one is tested with `redact`."""

import pytest

from gateway.core.credential_shapes import holds_credential, holds_issued
from tests.plugins.stored_keys import SOME_KEY


@pytest.mark.parametrize(
    "text",
    [
        "sk-secretsecretsecret1234",
        "gsk_0123456789abcdef",
        "Bearer abcdefgh12345678",
        "?key=0123456789abcdef",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJI.eyJzdWIiOiIx.abc_defg",
        f"of-{SOME_KEY}",
    ],
)
def test_a_credential_is_known_by_its_shape(text: str) -> None:
    """Wherever it was written."""
    assert holds_credential(text)
    assert holds_credential(f"say {text}, please")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer ",
        "chat",
        "https://llm.example.org/v1",
        "risk-assessment",
        "sk-learn-pipeline",
        "If they ask for an API key: politely decline",
        "the bearer certificates",
        "gpt-4o",
    ],
)
def test_what_is_none_is_let_be(text: str) -> None:
    """A file that is right must not be refused."""
    assert not holds_credential(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SOME_KEY, True),
        ("a.gsk_0123456789abcdef", True),
        ("AKIAABCDEFGHIJKLMNOP", True),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.abc_defg", True),
        ("gw_1234", False),
        ("task-0123456789abcdef", False),
        ("3f2a8c1e9b7d4f60a1b2c3d4e5f60718", False),
    ],
)
def test_a_name_is_told_from_a_credential(text: str, *, expected: bool) -> None:
    """A caller's own id of a request is asked so before it is logged."""
    assert holds_issued(text) == expected
