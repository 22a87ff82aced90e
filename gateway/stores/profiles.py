"""What is read from the tables of a chat front end.

The rule here: whatever a user has written down is kept wrapped, addresses too.
"""

import msgspec
from pydantic import SecretStr

Profile = dict[str, SecretStr]
"""What a user has set, by column; addresses and names among the credentials."""

ModelPlace = tuple[str, str]
"""Whose model it is, and its id."""


class Columns(msgspec.Struct, frozen=True):
    """Which tables to read, and what of them."""

    table: str
    id: str  # the column that says whose row it is
    fields: frozenset[str]  # wanted; those the table lacks are passed over
    models: str | None  # the table of the users' own models
    needs_models: bool = False  # whether that table has to be there


class ModelRow(msgspec.Struct, frozen=True):
    """A model of a user's own, as its row says it."""

    base_url: str
    model_id: str
    api_key: SecretStr | None
    context_length: int | None
