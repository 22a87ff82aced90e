"""Which dialect a path is answered in."""

import pytest

from gateway.core.dialect import Dialect, dialect_of_path


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/chat/completions", "/v1/nothing"])
def test_v1_is_answered_as_openai_does(path: str) -> None:
    """An SDK reads `error.message`, also of a path that does not exist."""
    assert dialect_of_path(path) is Dialect.OPENAI


@pytest.mark.parametrize("path", ["/", "/api/chat/groq", "/v10/models", "/V1/models", "/x/v1/"])
def test_every_other_path_is_answered_with_a_message(path: str) -> None:
    """The chat front end reads `message`; so does a person with curl."""
    assert dialect_of_path(path) is Dialect.TEXT
