"""Calls and callers for the sources of credentials."""

from typing import Any

import pytest

from gateway.config.registry import Provider
from gateway.core.dialect import Dialect
from gateway.core.identity import Principal
from gateway.core.tasks import Tasks
from gateway.plugins.keys import Call

ALICE = Principal("alice", "jwt", tenant="acme")


def provider_of(name: str = "groq", **fields: Any) -> Provider:
    """A provider of the registry."""
    return Provider.model_validate(
        {"name": name, "base_url": f"https://{name}.example.org/v1", **fields}
    )


def call_of(provider: Provider | None = None, model: str = "m") -> Call:
    """A call to a provider."""
    return Call(Dialect.TEXT, provider or provider_of(), model, stream=True, wants_usage=False)


@pytest.fixture
async def tasks() -> Any:
    """Background tasks, none of which crashes."""
    crashes: list[BaseException] = []
    made = Tasks(lambda _, error: crashes.append(error))
    yield made
    await made.cancel()
    assert crashes == []
