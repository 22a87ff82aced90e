"""Tests of the rules that every block follows."""

import pytest
from pydantic import ValidationError

from gateway.config.spec import Spec


class Block(Spec):
    """A block with one number."""

    size: float = 1


def test_an_unknown_key_is_refused() -> None:
    """A typo would otherwise be a setting that does nothing."""
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Block.model_validate({"siize": 2})


def test_a_block_never_changes() -> None:
    """A reload swaps the whole; nothing is changed under a running exchange."""
    block = Block()

    with pytest.raises(ValidationError, match="frozen"):
        block.size = 2


def test_an_error_does_not_quote_the_value() -> None:
    """It may be a credential that was written on the wrong line."""
    with pytest.raises(ValidationError) as caught:
        Block.model_validate({"size": "sk-canary"})

    assert "canary" not in str(caught.value)
