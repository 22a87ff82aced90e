"""The credentials of one's own profile, over HTTP; through a whole gateway, in tests/system."""

import pytest

from gateway.core.errors import InvalidJsonError, InvalidRequestError
from gateway.profile.handlers import read_key
from tests.plugins.stored_credentials import VALUE


def test_a_credential_is_read_from_its_field() -> None:
    """Nothing else of the body counts."""
    body = f'{{"key": " {VALUE}\\n", "other": 1}}'.encode()

    assert read_key(body).get_secret_value() == VALUE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'"sk-canary-12345"',
        b'{"key": null}',
        b'{"key": 12345678}',
        b'{"key": ["sk-canary-12345"]}',
        b'{"key": "short"}',
        b'{"key": "sk canary with blanks"}',
        b'{"key": "sk-canary\\u0000-12345"}',
        '{"key": "sk-cänary-12345"}'.encode(),
        b'{"key": "sk-canary-12345", "key": "sk-canary-54321"}',
        b'{"key": "' + b"x" * 5000 + b'"}',
    ],
)
def test_what_is_no_credential_is_refused(body: bytes) -> None:
    """Without repeating it."""
    with pytest.raises((InvalidRequestError, InvalidJsonError)) as refused:
        read_key(body)

    assert "nary" not in refused.value.public
